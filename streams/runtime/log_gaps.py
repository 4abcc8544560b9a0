"""Distinguish offsets without a record from records that were not delivered."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from producers.kafka.clients import new_consumer, started, stopped
from producers.settings import KafkaSettings

STOP_TIMEOUT_S: Final = 2.0


async def next_record(kafka: KafkaSettings, partition: TopicPartition, offset: int) -> int:
    """Return the offset of the first record at or after ``offset``; such a record must exist.

    It may be after ``offset``, because transaction markers have offsets, too, and retention deletes
    records.

    Raises:
        BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        TimeoutError: no record was received within ``request_timeout_s``.
        KafkaError: the broker refused the request.
    """
    timeout_s = kafka.request_timeout_s
    consumer: AIOKafkaConsumer = await started(
        lambda: new_consumer(
            kafka, auto_offset_reset="earliest", request_timeout_ms=int(timeout_s * 1000)
        ),
        kafka,
    )
    try:
        consumer.assign([partition])
        consumer.seek(partition, offset)
        async with asyncio.timeout(timeout_s):
            record = await consumer.getone(partition)
        return int(record.offset)
    finally:
        await stopped(consumer, STOP_TIMEOUT_S)
