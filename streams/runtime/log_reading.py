"""Read a partition up to its current end, with a consumer of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import WhenTruncated, new_scan_consumer, records_between
from producers.settings import KafkaSettings

STOP_TIMEOUT_S: Final = 2.0


async def end_of(kafka: KafkaSettings, partition: TopicPartition) -> int:
    """Return the offset after the last record.

    Raises:
        BrokerUnavailableError, KafkaError: the broker does not answer.
    """
    consumer: AIOKafkaConsumer = await started(lambda: new_scan_consumer(kafka), kafka)
    try:
        return int((await consumer.end_offsets([partition]))[partition])
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)


async def records_from(
    kafka: KafkaSettings,
    partition: TopicPartition,
    begin: int = 0,
    *,
    when_truncated: WhenTruncated = WhenTruncated.FAIL,
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records from ``begin`` on that still exist; raises like ``end_of``."""
    consumer: AIOKafkaConsumer = await started(lambda: new_scan_consumer(kafka), kafka)
    try:
        first = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        async for record in records_between(
            consumer,
            partition,
            max(first, begin),
            end,
            stall_timeout_s=kafka.log_stall_timeout_s,
            when_truncated=when_truncated,
        ):
            yield record
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)
