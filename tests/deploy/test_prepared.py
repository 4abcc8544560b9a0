"""A role that is started before its engines, or before `tracemill migrate`, waits for them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from clickhouse.all_topics import ensure_topics
from clickhouse.errors import StoreUnavailable
from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy import broker_probe
from deploy.embedded.ports import free_ports
from deploy.errors import NotPreparedError
from deploy.processes import prepared
from deploy.processes.prepared import run_without_store, until_prepared
from deploy.settings import ProcessSettings
from producers.settings import KafkaSettings

HASTY = ProcessSettings(prepared_within_s=0.2)
PATIENT = ProcessSettings(prepared_within_s=60)


@pytest.fixture
def kafka(kafka_broker: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """A broker that is slow to answer is not taken for one that is not there."""
    monkeypatch.setattr(broker_probe, "PROBE_TIMEOUT_S", 30.0)
    return KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)


@pytest.fixture
async def bare_store(clickhouse_url: str) -> AsyncIterator[Store]:
    """A database that nobody has migrated."""
    database = f"bare_{uuid.uuid4().hex[:12]}"
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    yield store
    await store.command(f"DROP DATABASE IF EXISTS {database} SYNC", use_database=False)
    await store.close()


async def test_without_a_broker_its_address_is_named() -> None:
    (port,) = free_ports(1)
    nowhere = KafkaSettings(broker=f"127.0.0.1:{port}")
    with pytest.raises(NotPreparedError, match=f"no Kafka broker answers at 127.0.0.1:{port}"):
        await until_prepared(HASTY, nowhere, None, asyncio.Event())


async def test_it_logs_repeatedly_what_is_missing_and_how_long_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepared, "LOG_AFTER_S", 0.0)
    monkeypatch.setattr(prepared, "LOG_INTERVAL_S", 0.0)
    (port,) = free_ports(1)
    nowhere = KafkaSettings(broker=f"127.0.0.1:{port}")
    stop = asyncio.Event()
    with capture_logs() as logs:
        waiting = asyncio.create_task(until_prepared(PATIENT, nowhere, None, stop))
        async with asyncio.timeout(PATIENT.prepared_within_s):
            while len(lines := [line for line in logs if line["event"] == "waiting"]) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        stop.set()
        assert not await waiting
    assert {line["missing"] for line in lines} == {f"no Kafka broker answers at 127.0.0.1:{port}"}
    assert {line["prepared_within_s"] for line in lines} == {60.0}


async def test_without_topics_one_is_named_and_what_makes_it(kafka: KafkaSettings) -> None:
    missing = rf"topic {kafka.topic_prefix}\.\S+ does not exist: run `tracemill migrate`"
    with pytest.raises(NotPreparedError, match=missing):
        await until_prepared(HASTY, kafka, None, asyncio.Event())


async def test_a_stop_ends_the_waiting(kafka: KafkaSettings) -> None:
    stop = asyncio.Event()
    stop.set()
    assert not await until_prepared(PATIENT, kafka, None, stop)


async def test_waiting_ends_when_topics_and_tables_are_there(
    kafka: KafkaSettings, bare_store: Store
) -> None:
    waiting = asyncio.create_task(until_prepared(PATIENT, kafka, bare_store, asyncio.Event()))
    await ensure_topics(kafka)
    with pytest.raises(NotPreparedError, match="migration 0001 is not applied: run `tracemill"):
        await until_prepared(HASTY, kafka, bare_store, asyncio.Event())
    assert not waiting.done()
    await migrate(bare_store, TieringSettings())
    assert await waiting


async def test_a_role_that_can_begin_without_the_store_ends_if_its_later_check_fails(
    kafka: KafkaSettings, bare_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure_topics(kafka)
    monkeypatch.setattr(prepared, "STORE_CHECK_INTERVAL_S", 0.01)
    ping, is_up, has_begun = bare_store.ping, asyncio.Event(), asyncio.Event()

    async def ping_if_up() -> None:
        if not is_up.is_set():
            raise StoreUnavailable("down")
        await ping()

    async def run() -> None:
        has_begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(bare_store, "ping", ping_if_up)
    running = asyncio.create_task(run_without_store(HASTY, kafka, bare_store, asyncio.Event(), run))
    async with asyncio.timeout(60):
        await has_begun.wait()
        is_up.set()
        with pytest.raises(NotPreparedError, match="migration 0001 is not applied"):
            await running


async def test_a_role_begins_only_after_the_check_if_the_store_answers(
    kafka: KafkaSettings, bare_store: Store
) -> None:
    await ensure_topics(kafka)

    async def run() -> None:
        raise AssertionError("it has begun")

    with pytest.raises(NotPreparedError, match="migration 0001 is not applied"):
        await run_without_store(HASTY, kafka, bare_store, asyncio.Event(), run)
    await migrate(bare_store, TieringSettings())
    with pytest.raises(AssertionError, match="it has begun"):
        await run_without_store(PATIENT, kafka, bare_store, asyncio.Event(), run)
