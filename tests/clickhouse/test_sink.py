"""The sink on the real broker and the real engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from clickhouse.migrate import migrate
from clickhouse.rows import ObservationRow, SpendRow
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.sink.loop import TooManyRefusals
from clickhouse.sink.service import run_sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from producers.kafka import new_producer
from producers.settings import KafkaSettings
from producers.topics_admin import ensure_topics
from tests.fixtures.store import running_store

DEADLINE_S = 30.0
START_US = 1_767_225_600_000_000


@pytest.fixture
async def kafka(kafka_broker: str, topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(broker=kafka_broker, topic_prefix=topic_prefix)
    await ensure_topics(settings)
    return settings


@pytest.fixture
async def producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = new_producer(kafka, batch_bytes=1_000_000)
    await producer.start()
    yield producer
    await producer.stop()


@asynccontextmanager
async def sinking(
    kafka: KafkaSettings, store: Store, settings: SinkSettings | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_sink(kafka, store, settings or SinkSettings(), stop))
    try:
        yield task
    finally:
        stop.set()
        if not task.done():
            await task


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not await holds():
        assert time.monotonic() < deadline_s, "not in time"
        await asyncio.sleep(0.05)


def observation(number: int, **fields: object) -> bytes:
    row = {
        "project_id": "p",
        "trace_id": f"trace-{number // 5}",
        "id": f"span-{number}",
        "start_us": START_US + number,
        "row_version": 1,
        "total_cost_pico": 7,
    }
    return msgspec.json.encode(msgspec.convert(row | fields, ObservationRow))


async def count(store: Store, table: str = "observations") -> int:
    rows = await store.query(f"SELECT count() AS n FROM {table} FINAL")
    return int(rows[0]["n"])


async def test_rows_of_every_partition_land_in_their_table(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    for partition in range(kafka.event_partitions):
        lines = [observation(partition * 100 + index) for index in range(100)]
        await producer.send_and_wait(
            kafka.topics.observations, b"\n".join(lines), partition=partition
        )
    spend = SpendRow(
        project_id="p",
        bucket_s=900,
        user_id="u",
        model="m",
        environment="default",
        row_version=3,
        total_cost_pico=5_000_000_000_000,
    )
    await producer.send_and_wait(kafka.topics.spend, msgspec.json.encode(spend), partition=0)

    async with sinking(kafka, clickhouse_store):

        async def all_there() -> bool:
            return (
                await count(clickhouse_store) == 100 * kafka.event_partitions
                and await count(clickhouse_store, "spend") == 1
            )

        await eventually(all_there)
    rows = await clickhouse_store.query("SELECT sum(total_cost) AS cost FROM observations FINAL")
    assert rows[0]["cost"] == Decimal(7 * 400) / 10**12
    rows = await clickhouse_store.query("SELECT total_cost FROM spend FINAL")
    assert rows[0]["total_cost"] == Decimal(5)


async def test_an_empty_value_only_moves_the_offset(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    await producer.send_and_wait(kafka.topics.observations, b"", partition=0)
    await producer.send_and_wait(kafka.topics.observations, observation(1), partition=0)
    async with sinking(kafka, clickhouse_store):

        async def stored() -> bool:
            return await count(clickhouse_store) == 1

        await eventually(stored)


async def test_a_second_sink_goes_on_where_the_first_stopped(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    for number in (1, 2):
        await producer.send_and_wait(kafka.topics.observations, observation(number), partition=0)

        async def stored(expected: int = number) -> bool:
            return await count(clickhouse_store) == expected

        async with sinking(kafka, clickhouse_store):
            await eventually(stored)


async def test_a_row_that_the_store_refuses_becomes_a_dead_letter_and_the_rest_lands(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    bad = b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"not a number","row_version":1}'
    lines = [*(observation(number) for number in range(20)), bad, observation(20)]
    await producer.send_and_wait(kafka.topics.observations, b"\n".join(lines), partition=0)
    async with sinking(kafka, clickhouse_store):

        async def isolated() -> bool:
            return (
                await count(clickhouse_store) == 21
                and await count(clickhouse_store, "dead_letters") == 1
            )

        await eventually(isolated)
    (letter,) = await clickhouse_store.query("SELECT * FROM dead_letters FINAL")
    assert (letter["project_id"], letter["stage"], letter["reason"]) == (
        "p",
        "sink",
        "refused_by_store",
    )
    assert letter["payload"] == bad.decode()
    assert "start_us" in letter["detail"]


async def test_row_after_row_refused_stops_the_sink(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    bad = b'{"project_id":"p","trace_id":"t","id":"bad","start_us":"no","row_version":1}'
    await producer.send_and_wait(kafka.topics.observations, b"\n".join([bad] * 20), partition=0)
    settings = SinkSettings(refused_rows_consecutive_max=10)
    with pytest.raises(TooManyRefusals, match="20 rows of observations"):
        await asyncio.wait_for(
            run_sink(kafka, clickhouse_store, settings, asyncio.Event()), DEADLINE_S
        )


async def test_while_the_store_is_away_nothing_is_lost(
    kafka: KafkaSettings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    store = Store(StoreSettings(clickhouse_url=f"http://127.0.0.1:{port}"))
    with running_store(tmp_path / "store", port) as process:
        await migrate(store, TieringSettings())
        async with sinking(kafka, store):
            await producer.send_and_wait(kafka.topics.observations, observation(1), partition=0)

            async def first() -> bool:
                return await count(store) == 1

            await eventually(first)
            process.kill()
            process.wait()
            await producer.send_and_wait(kafka.topics.observations, observation(2), partition=1)
            with running_store(tmp_path / "store", port):

                async def both() -> bool:
                    return await count(store) == 2

                await eventually(both)
                await producer.send_and_wait(kafka.topics.observations, observation(3), partition=0)

                async def three() -> bool:
                    return await count(store) == 3

                await eventually(three)
    await store.close()
