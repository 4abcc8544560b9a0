"""The embedded store has ClickHouse's HTTP interface, for clickhouse-connect and plain HTTP."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import clickhouse_connect
import httpx
import lz4.frame
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.clickhouse.front_for_tests import LOGIN


async def test_values_of_all_kinds_go_in_and_come_out(client: AsyncClient, table: str) -> None:
    moment = datetime(2026, 11, 21, 8, 30, 19, 878960, tzinfo=UTC)
    rows = [[1, "it's\\\n\t\"é", moment, {"x": Decimal("0.000000000001")}], [2, "", moment, {}]]
    summary = await client.insert(table, rows, column_names=["a", "s", "t", "m"])
    assert summary.written_rows == 2
    result = await client.query(f"SELECT a, s, t, m FROM {table} ORDER BY a")
    assert result.column_names == ("a", "s", "t", "m")
    stored = [list(row) for row in result.result_rows]
    assert [[a, s, m] for a, s, _, m in stored] == [[a, s, m] for a, s, _, m in rows]
    assert stored[0][2].replace(tzinfo=UTC) == moment


@pytest.mark.parametrize(
    "value", ["plain", "it's", 'a "b"', "tab\tnewline\nback\\slash", "ü🙂", "{x:String}"]
)
async def test_parameters_are_bound_by_the_server(client: AsyncClient, value: str) -> None:
    result = await client.query(
        "SELECT {v:String} AS v, {n:Int64} + 1 AS n", parameters={"v": value, "n": 41}
    )
    assert result.result_rows == [(value, 42)]


async def test_long_parameters_travel_as_a_form(client: AsyncClient) -> None:
    result = await client.query("SELECT length({v:String}) AS n", parameters={"v": "x" * 300_000})
    assert result.result_rows == [(300_000,)]


async def test_raw_rows_are_inserted_as_they_are(client: AsyncClient, table: str) -> None:
    lines = b'{"a": 1, "s": "FORMAT VALUES"}\n{"a": 2}\n'
    summary = await client.raw_insert(table, ["a", "s"], lines, fmt="JSONEachRow")
    assert summary.written_rows == 2
    answer = await client.raw_query(f"SELECT a, s FROM {table} ORDER BY a", fmt="JSONEachRow")
    assert [json.loads(line) for line in answer.splitlines()] == [
        {"a": 1, "s": "FORMAT VALUES"},
        {"a": 2, "s": ""},
    ]


@pytest.mark.parametrize("compression", [None, "lz4", "gzip"])
async def test_compressed_inserts_and_results(
    clickhouse_url: str, table: str, compression: str | None
) -> None:
    url = httpx.URL(clickhouse_url)
    async with await clickhouse_connect.get_async_client(
        host=url.host, port=url.port, compress=compression or False, **LOGIN
    ) as client:
        await client.insert(table, [[n, "x" * 50] for n in range(50_000)], column_names=["a", "s"])
        result = await client.query(f"SELECT a, s FROM {table} ORDER BY a")
    assert result.row_count == 50_000
    assert result.result_rows[-1] == (49_999, "x" * 50)


async def test_settings_hold_for_their_query_only(client: AsyncClient) -> None:
    ask = "SELECT getSetting('max_block_size')"
    default = (await client.query(ask)).result_rows
    assert (await client.query(ask, settings={"max_block_size": 1234})).result_rows == [(1234,)]
    assert (await client.query(ask)).result_rows == default


async def test_a_statement_that_changes_its_session_changes_no_other(client: AsyncClient) -> None:
    await client.command("SET max_block_size = 4321")
    assert (await client.query("SELECT getSetting('max_block_size')")).result_rows != [(4321,)]
    await client.command("USE system")
    assert (await client.query("SELECT currentDatabase()")).result_rows == [("default",)]


async def test_errors_carry_clickhouse_numbers(client: AsyncClient) -> None:
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE") as refusal:
        await client.query("SELECT * FROM nowhere")
    assert refusal.value.code == 60
    with pytest.raises(DatabaseError) as refusal:
        await client.query("SELEC 1 FROM")
    assert refusal.value.code == 62
    with pytest.raises(DatabaseError) as refusal:
        await client.query("SELECT 1", settings={"max_execution_time": "soon"})
    assert refusal.value.code is not None
    assert (await client.query("SELECT 1")).result_rows == [(1,)]


async def test_an_error_after_the_head_was_sent_is_still_an_error(client: AsyncClient) -> None:
    with pytest.raises(StreamFailureError, match="throwIf"):
        await client.query(
            "SELECT number, throwIf(number = 3000000) FROM numbers(5000000)",
            settings={"max_threads": 1},
        )


def test_nothing_of_a_failed_query_leaks_into_the_next(http: httpx.Client) -> None:
    for _ in range(5):
        failed = http.post(
            "/", content=b"SELECT number, throwIf(number = 70000) FROM numbers(100000)"
        )
        assert failed.headers["X-ClickHouse-Exception-Code"] == "395"
        assert http.post("/", content=b"SELECT 'next'").text == "next\n"


async def test_large_results_stream(client: AsyncClient) -> None:
    total = rows = 0
    async with await client.query_row_block_stream("SELECT number FROM numbers(1000000)") as stream:
        async for block in stream:
            rows += len(block)
            total += sum(number for (number,) in block)
    assert (rows, total) == (1_000_000, 999_999 * 500_000)


def test_plain_http_queries(http: httpx.Client) -> None:
    assert http.get("/ping").text == "Ok.\n"
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    answer = http.post(
        "/",
        params={"param_n": "2", "database": "system"},
        content=b"SELECT {n:Int8}, currentDatabase() FORMAT JSONCompact",
    )
    assert answer.json()["data"] == [[2, "system"]]
    assert answer.headers["X-ClickHouse-Format"] == "JSONCompact"
    assert answer.headers["Content-Type"].startswith("application/json")
    assert int(json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"]) == 1
    assert (
        http.post("/", params={"default_format": "CSV"}, content=b"SELECT 'a', 1").text == '"a",1\n'
    )
    assert http.post(
        "/", params={"query": "SELECT 1, 'x'"}, headers={"X-ClickHouse-Format": "JSONEachRow"}
    ).json() == {"1": 1, "'x'": "x"}
    assert http.get("/nowhere").status_code == 404


def test_a_get_changes_nothing(http: httpx.Client) -> None:
    refused = http.get("/", params={"query": "CREATE TABLE made_by_get (a Int8) ENGINE = Memory"})
    assert refused.status_code == 403
    assert refused.headers["X-ClickHouse-Exception-Code"] == "164"
    assert http.post("/", content=b"EXISTS TABLE made_by_get").text == "0\n"


def test_inserts_by_plain_http(http: httpx.Client, table: str) -> None:
    def count() -> int:
        return int(http.post("/", content=f"SELECT count() FROM {table}".encode()).text)

    def insert(content: bytes, query: str = "", **headers: str) -> None:
        answer = http.post(
            "/", params={"query": query} if query else {}, content=content, headers=headers
        )
        assert answer.status_code == 200, answer.text

    insert(f'INSERT INTO {table} (a, s) FORMAT JSONEachRow\n{{"a":1}}\n{{"a":2}}'.encode())
    assert count() == 2
    insert(b'{"a":3}', f"INSERT INTO {table} FORMAT JSONEachRow")
    assert count() == 3
    insert(f"INSERT INTO {table} (a, s) VALUES (4, 'FORMAT x'), (5, '')".encode())
    assert count() == 5
    insert(b"(6),(7)", f"INSERT INTO {table} (a) VALUES")
    assert count() == 7
    insert(
        (
            f"/* FORMAT */ insert into {table} (a) settings async_insert = 0 format CSV\n8\n9\n"
        ).encode()
    )
    assert count() == 9
    insert(f"INSERT INTO {table} (a) SELECT number FROM numbers(3)".encode())
    assert count() == 12
    insert(
        gzip.compress(b'{"a":13}'),
        f"INSERT INTO {table} FORMAT JSONEachRow",
        **{"Content-Encoding": "gzip"},
    )
    insert(
        lz4.frame.compress(b'{"a":14}'),
        f"INSERT INTO {table} FORMAT JSONEachRow",
        **{"Content-Encoding": "lz4"},
    )
    assert count() == 14
    insert(b"", f"INSERT INTO {table} FORMAT JSONEachRow")
    assert count() == 14


def test_a_row_that_does_not_parse_refuses_its_whole_insert(http: httpx.Client, table: str) -> None:
    lines = b'{"a":1}\n{"a":"one"}\n'
    refused = http.post(
        "/", params={"query": f"INSERT INTO {table} FORMAT JSONEachRow"}, content=lines
    )
    assert refused.headers["X-ClickHouse-Exception-Code"] == "27"
    assert http.post("/", content=f"SELECT count() FROM {table}".encode()).text == "0\n"


def test_bytes_that_are_no_text_are_refused_with_the_engines_words(
    http: httpx.Client, table: str
) -> None:
    insert = {"query": f"INSERT INTO {table} (a) FORMAT JSONEachRow"}
    refused = http.post("/", params=insert, content=b"\x00\xff\xfe")
    assert refused.headers["x-clickhouse-exception-code"] == "27"
    assert "Cannot parse input" in refused.text


def test_an_insert_that_fails_after_parsing_is_refused(http: httpx.Client, table: str) -> None:
    """The engine's streaming insert reports such rows as written."""
    checked = f"{table}_checked"
    ddl = (
        f"CREATE TABLE {checked} (d Date, CONSTRAINT c CHECK d != '2026-01-09')"
        " ENGINE = MergeTree PARTITION BY d ORDER BY d"
    )
    assert http.post("/", content=ddl).status_code == 200
    insert = f"INSERT INTO {checked} SETTINGS max_partitions_per_insert_block = 2 FORMAT CSV"
    violates = http.post("/", params={"query": insert}, content=b"2026-01-08\n2026-01-09\n")
    assert violates.headers["x-clickhouse-exception-code"] == "469"
    scattered = http.post(
        "/", params={"query": insert}, content=b"2026-01-01\n2026-01-02\n2026-01-03"
    )
    assert scattered.headers["x-clickhouse-exception-code"] == "252"
    assert http.post("/", content=f"SELECT count() FROM {checked}").text == "0\n"
    fine = http.post("/", params={"query": insert}, content=b"2026-01-01\n2026-01-02\n")
    assert fine.status_code == 200


def test_an_upload_that_breaks_off_inserts_nothing(http: httpx.Client, table: str) -> None:
    def broken_upload() -> Iterator[bytes]:
        yield b'{"a":1}\n' * 1000
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        http.post(
            "/",
            params={"query": f"INSERT INTO {table} FORMAT JSONEachRow"},
            content=broken_upload(),
        )
    assert http.post("/", content=f"SELECT count() FROM {table}".encode()).text == "0\n"


def test_a_compressed_answer_is_what_was_asked_for(http: httpx.Client) -> None:
    params = {"enable_http_compression": "1"}
    answer = http.post(
        "/",
        params=params,
        headers={"Accept-Encoding": "gzip"},
        content=b"SELECT repeat('x', 10000)",
    )
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.text == "x" * 10_000 + "\n"
    plain = http.post("/", headers={"Accept-Encoding": "gzip"}, content=b"SELECT 1")
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"SELECT 1", {"Content-Encoding": "snappy"}, 400),
        (b"not gzip", {"Content-Encoding": "gzip"}, 400),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    http: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert http.post("/", content=content, headers=headers).status_code == status
