"""The sink on the real broker and the real engine."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from clickhouse.migrate import migrate
from clickhouse.rows import SpendRow
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from deploy.embedded.ports import free_ports
from producers.settings import KafkaSettings
from streams.runtime.sink_progress import SinkProgress
from tests.clickhouse.sink_for_tests import count, eventually, observation
from tests.fixtures.sink import sinking
from tests.fixtures.store import StoreAt, running_store


async def test_rows_of_every_partition_are_stored_in_their_table(
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


async def test_a_second_sink_continues_where_the_first_stopped(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    for number in (1, 2):
        await producer.send_and_wait(kafka.topics.observations, observation(number), partition=0)

        async def stored(expected: int = number) -> bool:
            return await count(clickhouse_store) == expected

        async with sinking(kafka, clickhouse_store):
            await eventually(stored)


async def test_sinks_that_come_and_go_leave_no_row_and_no_offset_behind(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    ends: dict[TopicPartition, int] = {}

    async def send(first: int) -> None:
        for number in range(first, first + 40):
            sent = await producer.send_and_wait(
                kafka.topics.observations, observation(number), partition=number % 4
            )
            ends[TopicPartition(kafka.topics.observations, number % 4)] = sent.offset + 1

    async def stored(rows: int) -> None:
        async def all_there() -> bool:
            return await count(clickhouse_store) == rows

        await eventually(all_there)

    async with sinking(kafka, clickhouse_store):
        await send(0)
        async with sinking(kafka, clickhouse_store):
            await send(40)
            await stored(80)
            await send(80)
        await send(120)
        await stored(160)
    progress = SinkProgress(kafka, poll_s=0.05)
    try:
        await progress.start()
        assert await progress.committed(list(ends)) == ends
    finally:
        await progress.stop()


async def test_while_the_store_is_down_nothing_is_lost(
    kafka: KafkaSettings, producer: AIOKafkaProducer, tmp_path: Path, store_at: StoreAt
) -> None:
    (port,) = free_ports(1)
    store = store_at(port)
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
