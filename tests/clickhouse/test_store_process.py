"""The embedded store's process starts, stops, crashes and recovers; its client reports errors."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreUnavailable
from clickhouse.migrate import migrate
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from tests.clickhouse.rows_for_tests import observation, write
from tests.fixtures.store import ROOT, STORE_PASSWORD, STORE_USER, StoreAt, running_store
from tests.fixtures.suspended import suspend

WITHIN_S = 60.0
ENDLESS = "SELECT sum(cityHash64(number)) FROM numbers(100000000000000)"


async def test_accepted_rows_survive_kill_9(tmp_path: Path, store_at: StoreAt) -> None:
    (port,) = free_ports(1)
    store = store_at(port)
    accepted = 0
    with running_store(tmp_path, port) as process:
        await migrate(store, TieringSettings())

        async def write_on() -> None:
            nonlocal accepted
            while True:
                rows = (observation(id=f"{accepted}-{n}") for n in range(10))
                await write(store, "observations", *rows)
                accepted += 1
                if accepted == 1:
                    asyncio.get_running_loop().call_later(1.0, process.kill)

        with pytest.raises(StoreUnavailable):
            await write_on()
        process.wait(WITHIN_S)
    with running_store(tmp_path, port):
        (counted,) = await store.query(
            "SELECT uniqExact(splitByChar('-', id)[1]) AS n, count() AS rows"
            " FROM observations FINAL"
        )
        (slim,) = await store.query("SELECT count() AS rows FROM observations_slim FINAL")
        assert accepted > 0
        # One more may be stored than was answered; it would be sent again.
        assert counted["n"] in {accepted, accepted + 1}
        assert counted["rows"] == counted["n"] * 10
        assert slim["rows"] >= accepted * 10
        assert await migrate(store, TieringSettings()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_in_time(tmp_path: Path, number: signal.Signals) -> None:
    (port,) = free_ports(1)
    limit = {"TRACEMILL_STORE_STOP_TIMEOUT_S": "600"}  # nothing runs that it would wait for
    with running_store(tmp_path, port, limit) as process:
        httpx.post(
            f"http://127.0.0.1:{port}/",
            content=b"CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
            auth=(STORE_USER, STORE_PASSWORD),
            timeout=WITHIN_S,
        )
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(WITHIN_S) == 0
        assert time.monotonic() - started < WITHIN_S


async def test_a_running_query_does_not_keep_it_from_stopping(
    tmp_path: Path, store_at: StoreAt
) -> None:
    (port,) = free_ports(1)
    limit = {"TRACEMILL_STORE_STOP_TIMEOUT_S": "1"}
    with running_store(tmp_path, port, limit) as process:
        store = store_at(port, clickhouse_database="default", clickhouse_query_timeout_s=600)
        endless = asyncio.create_task(store.query(ENDLESS))
        deadline = time.monotonic() + WITHIN_S
        while not await store.query(
            "SELECT 1 FROM system.processes"
            " WHERE query LIKE '%100000000000%' AND query NOT LIKE '%processes%'"
        ):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, WITHIN_S) == 0
        with pytest.raises(StoreUnavailable):
            await endless


def run_second(data_dir: Path, port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clickhouse.embedded", str(data_dir), str(port)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_second_store_is_refused_with_one_line(tmp_path: Path) -> None:
    port, other_port = free_ports(2)
    with running_store(tmp_path / "first", port):
        same_directory = run_second(tmp_path / "first", other_port)
        same_port = run_second(tmp_path / "second", port)
    assert same_directory.returncode == 1
    assert (
        same_directory.stderr
        == f"tracemill store: another embedded store is running on {tmp_path / 'first'}\n"
    )
    assert same_port.returncode == 1
    assert (
        same_port.stderr
        == f"tracemill store: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


async def test_a_configured_password_is_required(tmp_path: Path, store_at: StoreAt) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/"
    with running_store(tmp_path, port, {"TRACEMILL_CLICKHOUSE_PASSWORD": "open sesame"}):
        async with httpx.AsyncClient(timeout=WITHIN_S) as client:
            for refused in (
                await client.post(url, content=b"SELECT 1"),
                await client.post(url, content=b"SELECT 1", auth=("default", "wrong")),
                await client.post(
                    url,
                    content=b"SELECT 1",
                    headers={"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"},
                ),
                await client.post(url, content=b"SELECT 1", auth=("other", "open sesame")),
            ):
                assert refused.status_code == 403
                assert refused.headers["X-ClickHouse-Exception-Code"] == "516"
            for accepted in (
                await client.post(url, content=b"SELECT 1", auth=("default", "open sesame")),
                await client.post(
                    url, content=b"SELECT 1", headers={"X-ClickHouse-Key": "open sesame"}
                ),
            ):
                assert accepted.text == "1\n"
        store = store_at(port, clickhouse_password="wrong")
        with pytest.raises(QueryRejected) as refusal:
            await store.ping()
        assert refusal.value.code == 516


async def test_the_client_classifies_errors(clickhouse_store: Store) -> None:
    with pytest.raises(QueryRejected) as refusal:
        await clickhouse_store.query("SELECT * FROM nowhere")
    assert refusal.value.code == 60
    with pytest.raises(QueryLimitReached) as limit:
        await clickhouse_store.query_bytes(
            "SELECT number FROM numbers(1000) SETTINGS max_result_rows = 10"
        )
    assert limit.value.code == 396
    with pytest.raises(QueryLimitReached):
        await clickhouse_store.query(
            "SELECT sleepEachRow(0.1) FROM numbers(100) SETTINGS max_execution_time = 0.3"
        )
    with pytest.raises(QueryRejected, match="no parameter other"):
        await clickhouse_store.query("SELECT {n:Int8}", {"n": 1, "other": 2})
    with pytest.raises(QueryRejected):
        await clickhouse_store.insert_lines("observations", ["project_id"], b"not json\n")
    with pytest.raises(QueryRejected):
        await clickhouse_store.insert_lines("nowhere", ["project_id"], b"{}\n")
    assert await clickhouse_store.query("SELECT {n:Int8} AS n", {"n": 7}) == [{"n": 7}]


async def test_a_store_that_is_not_running_is_unavailable_until_it_starts(
    tmp_path: Path, store_at: StoreAt
) -> None:
    (port,) = free_ports(1)
    store = store_at(port, clickhouse_database="default")
    nobody = rf"^cannot connect to http://127\.0\.0\.1:{port} \(TRACEMILL_CLICKHOUSE_URL\)$"
    with pytest.raises(StoreUnavailable, match=nobody):
        await store.ping()
    with running_store(tmp_path, port):
        await store.ping()
        assert await store.query_bytes("SELECT 1 AS one") == b'{"one":1}\n'
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_an_insert_that_takes_too_long_is_cancelled(
    tmp_path: Path, store_at: StoreAt
) -> None:
    (port,) = free_ports(1)
    with running_store(tmp_path, port) as process:
        store = store_at(port, clickhouse_database="default", clickhouse_insert_timeout_s=0.5)
        await store.command("CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a")
        suspend(process.pid)
        with pytest.raises(QueryLimitReached, match=r"longer than 0\.5 s"):
            await store.insert_lines("t", ["a"], b'{"a":1}\n')
        process.send_signal(signal.SIGCONT)
        store.settings.clickhouse_insert_timeout_s = WITHIN_S  # the short one was for the hang
        await store.insert_lines("t", ["a"], b'{"a":1}\n')
