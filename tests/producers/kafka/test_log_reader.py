"""The reader of whole logs, on a broker that is killed, compacts, and loses topics."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.structs import ConsumerRecord

from producers.errors import (
    LogStalledError,
)
from producers.kafka.clients import new_producer, started
from producers.kafka.log_cursor import (
    Isolation,
    new_log_consumer,
    records_between,
)
from producers.kafka.log_reader import RECORDS_PER_TURN
from tests.producers.kafka.logs_for_tests import (
    DEADLINE_S,
    Log,
    Reading,
    reading,
    until_created,
)

ISOLATIONS: tuple[Isolation, ...] = ("read_committed", "read_uncommitted")


async def test_existing_records_are_delivered_once_in_order_then_later_ones(log: Log) -> None:
    await log.append(1, 2, 3)
    async with reading(log) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [1, 2, 3]
        await log.append(4)
        await reader.read_up_to(4)
        await reader.caught_up()
        assert delivered.values == [1, 2, 3, 4]
        assert delivered.progress[-1] == (4, 4)


async def test_other_tasks_run_between_the_records_of_a_burst(log: Log) -> None:
    producer = await started(lambda: new_producer(log.kafka, batch_bytes=2**20), log.kafka)
    batch = producer.create_batch()
    for value in range(3 * RECORDS_PER_TURN):
        assert batch.append(key=None, value=b"%d" % value, timestamp=None) is not None
    await (await producer.send_batch(batch, log.partition.topic, partition=0))
    await producer.stop()
    delivered, seen = Reading(), []
    loop = asyncio.get_running_loop()

    def deliver(record: ConsumerRecord) -> None:
        delivered(record)
        if len(delivered.values) == 1:
            loop.call_soon(lambda: seen.append(len(delivered.values)))

    async with reading(log, deliver=deliver) as (reader, _):
        await reader.caught_up()
    assert delivered.values == list(range(3 * RECORDS_PER_TURN))
    assert seen == [RECORDS_PER_TURN]


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_an_empty_log_is_read_to_its_end_at_once(log: Log, isolation: Isolation) -> None:
    async with reading(log, isolation=isolation) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == []
        await log.append(1)
        await reader.caught_up()
        assert delivered.values == [1]


async def test_reading_begins_at_an_offset(log: Log) -> None:
    await log.append(1, 2, 3)
    async with reading(log, begin=2) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [3]


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("outcome", ["commit", "abort"])
async def test_a_log_that_ends_with_a_transaction_is_read_to_its_end(
    log: Log, isolation: Isolation, outcome: str
) -> None:
    await log.append(1)
    seen = [1, 2] if outcome == "commit" or isolation == "read_uncommitted" else [1]
    async with reading(log, isolation=isolation) as (following, delivered):
        await following.caught_up()
        async with log.transaction(2) as writer:
            await getattr(writer, f"{outcome}_transaction")()
        await following.read_up_to(3)  # the broker writes the marker soon after it answered
        await following.caught_up()
        assert delivered.values == seen
    async with reading(log, isolation=isolation) as (late, delivered):
        await late.caught_up()
        assert delivered.values == seen
        assert await late.end_of(log.partition) == 3  # with the marker


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_an_open_transaction_delays_no_reader_that_wants_what_is_committed(
    log: Log, isolation: Isolation
) -> None:
    await log.append(1)
    async with log.transaction(2) as writer:
        await log.append(3)
        async with reading(log, isolation=isolation) as (reader, delivered):
            await reader.caught_up()
            assert delivered.values == ([1] if isolation == "read_committed" else [1, 2, 3])
            await writer.commit_transaction()
            await reader.read_up_to(3)
            assert delivered.values == [1, 2, 3]


async def test_a_compacted_log_is_read_over_its_gaps(log: Log) -> None:
    await log.delete()
    await until_created(
        log,
        {
            "cleanup.policy": "compact",
            "segment.ms": "1",
            "min.cleanable.dirty.ratio": "0.01",
            "min.compaction.lag.ms": "0",
        },
    )
    for _ in range(3):
        await log.append(1, 2)
    delivered = Reading()

    async def read() -> None:
        nonlocal delivered
        async with reading(log) as (reader, delivered):
            await reader.caught_up()

    await read()
    async with asyncio.timeout(DEADLINE_S):
        while len(delivered.values) > 3:  # the last record is in the active segment
            await log.append(2)  # closes the segment
            await asyncio.sleep(0.5)  # the cleaner has to be faster than new segments
            await read()
    assert 1 in delivered.values  # which values are left before the last one varies
    assert delivered.values[-1] == 2
    assert delivered.offsets[0] > 0

    end = delivered.offsets[-1] + 1
    consumer = new_log_consumer(log.kafka)
    await consumer.start()
    try:
        found = [
            record.offset
            async for record in records_between(consumer, log.partition, 0, end, stall_timeout_s=5)
        ]
        assert found[-1] == end - 1
        with pytest.raises(LogStalledError, match="nothing after offset"):
            async for _ in records_between(
                consumer, log.partition, end, end + 9, stall_timeout_s=0.1
            ):
                pass
    finally:
        await consumer.stop()


async def test_records_that_raise_are_skipped_and_reported(log: Log) -> None:
    await log.append(1, 2, 3)
    delivered, failed = Reading(), []

    def deliver(record: ConsumerRecord) -> None:
        delivered(record)
        if record.offset == 1:
            raise ValueError("not this one")

    async with reading(
        log, deliver=deliver, on_failure=lambda record, error: failed.append((record.offset, error))
    ) as (reader, _):
        await reader.caught_up()
    assert delivered.values == [1, 2, 3]
    ((offset, error),) = failed
    assert (offset, str(error)) == (1, "not this one")
