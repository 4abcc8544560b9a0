"""Logs that were cut, deleted or stalled, and brokers that were killed."""

from __future__ import annotations

import asyncio

import pytest

from producers.errors import (
    BrokerUnavailableError,
    LogTruncatedError,
    TopicError,
)
from producers.kafka.log_cursor import (
    Isolation,
    WhenTruncated,
    new_log_consumer,
    records_between,
)
from producers.kafka.log_reader import LogReader
from tests.producers.kafka.logs_for_tests import (
    Broker,
    Log,
    reading,
    reconnects,
    until,
    until_created,
)

ISOLATIONS: tuple[Isolation, ...] = ("read_committed", "read_uncommitted")


async def test_a_log_that_lost_its_beginning_is_read_on_or_refused(log: Log) -> None:
    await log.append(1, 2, 3, 4)
    await log.remove_before(2)
    async with reading(log) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [3, 4]
    async with reading(log, begin=0) as (reader, delivered):
        await reader.caught_up()
        assert delivered.values == [3, 4]
    async with reading(log, begin=0, when_truncated=WhenTruncated.FAIL) as (reader, delivered):
        with pytest.raises(LogTruncatedError, match="contains the offsets 2 to 4, not 0"):
            await reader.caught_up()
        assert delivered.values == []

    consumer = new_log_consumer(log.kafka)
    await consumer.start()
    try:
        with pytest.raises(LogTruncatedError, match="contains the offsets 2 to 4, not 1"):
            async for _ in records_between(consumer, log.partition, 1, 4, stall_timeout_s=5):
                pass
        found = [
            int(record.value)
            async for record in records_between(
                consumer,
                log.partition,
                0,
                3,
                stall_timeout_s=5,
                when_truncated=WhenTruncated.CONTINUE,
            )
        ]
        assert found == [3]
        with pytest.raises(LogTruncatedError, match="has become shorter"):
            async for _ in records_between(
                consumer,
                log.partition,
                9,
                12,
                stall_timeout_s=5,
                when_truncated=WhenTruncated.CONTINUE,
            ):
                pass
    finally:
        await consumer.stop()


async def until_missing(reader: LogReader) -> None:
    """Read until that fails: the broker deletes a topic a moment after its answer."""
    while True:
        await reader.caught_up()


async def test_a_deleted_topic_is_reported_and_read_again_once_it_is_back(log: Log) -> None:
    await log.append(1, 2, 3)
    async with reading(log) as (reader, delivered):
        await reader.caught_up()
        await log.delete()
        with pytest.raises(TopicError, match="does not exist: run `tracemill migrate`"):
            await until_missing(reader)
        await until_created(log, {})
        await log.append(4)
        await until(lambda: delivered.values == [1, 2, 3, 4])
        await reader.caught_up()
        await log.append(5)
        await reader.caught_up()
        assert delivered.values == [1, 2, 3, 4, 5]


async def test_a_reader_that_stalls_connects_again_and_goes_on(log: Log) -> None:
    await log.append(1)
    kafka = log.kafka.model_copy(update={"log_stall_timeout_s": 0.2})
    async with reading(log, kafka=kafka) as (reader, delivered):
        await reader.caught_up()
        before = reconnects(log)
        waiting = asyncio.create_task(reader.read_up_to(2))
        await until(lambda: reconnects(log) > before + 1)
        assert not waiting.done()
        await log.append(2)
        await waiting
        assert delivered.values == [1, 2]


async def test_a_stall_is_noticed_although_nobody_waits(log: Log) -> None:
    await log.append(1)
    kafka = log.kafka.model_copy(update={"log_stall_timeout_s": 0.2})
    async with reading(log, kafka=kafka) as (reader, delivered):
        await reader.caught_up()
        assert reader._consumer is not None
        reader._consumer.pause(log.partition)  # as if the broker did not answer its requests
        await log.append(2)
        await until(lambda: delivered.values == [1, 2])
        assert reconnects(log) == 1


async def test_reading_continues_after_the_broker_was_killed(log: Log, broker: Broker) -> None:
    await log.append(*range(10))
    async with (
        reading(log) as (reader, delivered),
        reading(log, isolation="read_uncommitted", disconnected_max_s=0.5) as (impatient, other),
    ):
        await reader.caught_up()
        broker.kill()
        waiting = asyncio.create_task(reader.caught_up())
        with pytest.raises(BrokerUnavailableError, match="no Kafka broker answers"):
            await impatient.caught_up()
        assert not waiting.done()
        broker.start()
        await asyncio.to_thread(broker.await_ready)
        await log.append(*range(10, 20))
        await waiting
        for each in (reader, impatient):
            await each.caught_up()
        assert delivered.values == other.values == list(range(20))
