"""The embedded store limits queries and inserts, and stops those whose client has left."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.embedded.ports import free_ports
from tests.clickhouse.front_for_tests import AUTH, MINUTE_OF_CPU, WITHIN_S
from tests.fixtures.store import running_store


async def test_a_limit_on_time_stops_a_query(client: AsyncClient) -> None:
    started = time.monotonic()
    with pytest.raises(DatabaseError) as refusal:
        await client.query(MINUTE_OF_CPU, settings={"max_execution_time": 1})
    assert refusal.value.code == 159
    assert time.monotonic() - started < WITHIN_S


async def test_slow_queries_block_neither_quick_ones_nor_inserts(
    client: AsyncClient, table: str
) -> None:
    slow = [
        asyncio.create_task(
            client.query(MINUTE_OF_CPU, settings={"max_execution_time": 60, "max_threads": 1})
        )
        for _ in range(4)
    ]
    for number in range(3):
        await client.query("SELECT 1")
        await client.raw_insert(table, ["a"], b'{"a":%d}' % number, fmt="JSONEachRow")
        assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_a_query_whose_client_left_is_killed(
    client: AsyncClient, clickhouse_url: str
) -> None:
    async def running() -> int:
        result = await client.query(
            "SELECT count() FROM system.processes"
            " WHERE query LIKE '%77777777777%' AND query NOT LIKE '%processes%'"
        )
        return int(result.result_rows[0][0])

    async with httpx.AsyncClient(auth=AUTH) as other:
        abandoned = asyncio.create_task(
            other.post(
                clickhouse_url,
                content=b"SELECT sum(cityHash64(number)) FROM numbers(77777777777777)",
                timeout=600,
            )
        )
        deadline = time.monotonic() + WITHIN_S
        while await running() == 0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        abandoned.cancel()
    deadline = time.monotonic() + WITHIN_S
    while await running():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_too_many_requests_get_503(tmp_path_factory: pytest.TempPathFactory) -> None:
    (port,) = free_ports(1)
    limits = {"TRACEMILL_STORE_QUERIES_MAX": "1", "TRACEMILL_STORE_WAITING_MAX": "1"}
    with running_store(tmp_path_factory.mktemp("small"), port, limits):
        statuses = asyncio.run(_post_at_once(f"http://127.0.0.1:{port}/", 8))
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=WITHIN_S).text
    assert sorted(set(statuses)) == [200, 503]
    assert statuses.count(200) == 2
    assert 'tracemill_store_limits_reached_total{limit="query_slots"} 6.0' in metrics


async def _post_at_once(url: str, count: int) -> list[int]:
    async with httpx.AsyncClient(timeout=WITHIN_S, auth=AUTH) as client:
        answers = await asyncio.gather(
            *(client.post(url, content=b"SELECT sleep(3) FORMAT Null") for _ in range(count))
        )
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["X-ClickHouse-Exception-Code"] == "202"
    return [answer.status_code for answer in answers]


def test_an_insert_of_too_many_bytes_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    (port,) = free_ports(1)
    limits = {"TRACEMILL_STORE_INSERT_BYTES_MAX": str(2**20)}
    with running_store(tmp_path_factory.mktemp("bounded"), port, limits):
        refused = httpx.post(
            f"http://127.0.0.1:{port}/",
            params={"query": "INSERT INTO nowhere FORMAT JSONEachRow"},
            content=b'{"a":1}\n' * 2**18,
            auth=AUTH,
            timeout=WITHIN_S,
        )
    assert refused.status_code == 413
    assert refused.headers["x-clickhouse-exception-code"] == "241"
    assert "insert_bytes_max" in refused.text


async def test_an_endless_result_whose_client_left_is_killed(clickhouse_url: str) -> None:
    async with httpx.AsyncClient(timeout=WITHIN_S, auth=AUTH) as client:
        sql = b"SELECT number FROM system.numbers WHERE number < 88888888888"
        async with client.stream("POST", clickhouse_url, content=sql) as answer:
            async for _ in answer.aiter_raw():
                break
        deadline = time.monotonic() + WITHIN_S
        running = (
            b"SELECT count() FROM system.processes"
            b" WHERE query LIKE '%88888888888%' AND query NOT LIKE '%processes%'"
        )
        while (await client.post(clickhouse_url, content=running)).text != "0\n":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


def test_a_large_insert_that_is_refused_gets_its_answer(http: httpx.Client) -> None:
    lines = b'{"a":1}\n' * 3_000_000
    for query, code in (
        ("INSERT INTO nowhere FORMAT JSONEachRow", "60"),
        ("SELECT 1", "62"),
    ):
        refused = http.post("/", params={"query": query}, content=lines)
        assert refused.headers["X-ClickHouse-Exception-Code"] == code
