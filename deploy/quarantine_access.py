"""Read and write the quarantine log and source records for `tracemill quarantine`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from deploy.broker_probe import topics_of
from deploy.errors import QuarantineError
from producers.errors import LogStalledError, LogTruncatedError
from producers.kafka.clients import new_consumer, new_producer, started, stopped
from producers.kafka.log_cursor import WhenTruncated, new_scan_consumer, records_between
from producers.settings import KafkaSettings
from streams.core.quarantine.quarantined import Entry, Kind
from streams.quarantine.log import QuarantineView, entry_key, topic_of

BATCH_BYTES: Final = 1024 * 1024
STOP_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 15.0


@dataclass(slots=True)
class QuarantineAccess:
    """Access to the entries of the quarantine and to their source records."""

    kafka: KafkaSettings
    view: QuarantineView
    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer

    async def source_record(self, kind: Kind, partition: int, offset: int) -> ConsumerRecord | None:
        """Return the source record at an offset; None if it is deleted or not written yet."""
        source = TopicPartition(topic_of(self.kafka, kind), partition)
        first, end = await self.range_of(kind, partition)
        if not first <= offset < end:
            return None
        records = await _read(self.consumer, source, offset, offset + 1)
        return records[0] if records and records[0].offset == offset else None

    async def range_of(self, kind: Kind, partition: int) -> tuple[int, int]:
        """Return the first offset of a source partition, and the offset after its last record."""
        source = TopicPartition(topic_of(self.kafka, kind), partition)
        first = (await self.consumer.beginning_offsets([source]))[source]
        return first, (await self.consumer.end_offsets([source]))[source]

    async def committed(self, kind: Kind, partition: int) -> int:
        """Return the offset that the streams have committed; they may have processed more."""
        source = TopicPartition(topic_of(self.kafka, kind), partition)
        member = new_consumer(self.kafka, group_id=self.kafka.topics.streams_group)
        await member.start()
        try:
            member.assign([source])
            return await member.committed(source) or 0
        finally:
            await stopped(member, STOP_TIMEOUT_S)

    async def partitions(self, kind: Kind) -> int:
        """Return the number of partitions of a source topic."""
        return len(await self.producer.partitions_for(topic_of(self.kafka, kind)))

    async def append(self, topic: str, partition: int, value: bytes) -> int:
        """Append a record; return its offset when it is acknowledged."""
        written = await self.producer.send_and_wait(topic, value, partition=partition)
        return int(written.offset)

    async def write_entry(self, entry: Entry) -> None:
        """Write an entry.

        Running workers apply it within milliseconds, others when they start.
        """
        topic = self.kafka.topics.quarantine
        value = msgspec.json.encode(entry)
        await self.producer.send_and_wait(topic, value, key=entry_key(entry), partition=0)


@asynccontextmanager
async def open_quarantine(kafka: KafkaSettings) -> AsyncIterator[QuarantineAccess]:
    """Open the quarantine of an installation and read its log to the end.

    Raises:
        QuarantineError: the broker does not respond, or the quarantine's topic does not exist.
    """
    topics = await topics_of(kafka)
    if topics is None:
        raise QuarantineError(
            f"the quarantine is stored in Kafka, and no broker answers at {kafka.broker}: start it "
            "(`tracemill up`), or set TRACEMILL_BROKER"
        )
    log = TopicPartition(kafka.topics.quarantine, 0)
    if log.topic not in topics:
        raise QuarantineError(f"topic {log.topic} does not exist: run `tracemill migrate`")
    async with AsyncExitStack() as stack:
        consumer: AIOKafkaConsumer = await started(
            lambda: new_scan_consumer(kafka, max_partition_fetch_bytes=kafka.record_max_bytes),
            kafka,
        )
        stack.push_async_callback(stopped, consumer, STOP_TIMEOUT_S)
        producer = await started(lambda: new_producer(kafka, batch_bytes=BATCH_BYTES), kafka)
        stack.push_async_callback(stopped, producer, STOP_TIMEOUT_S)
        view = QuarantineView()
        end = (await consumer.end_offsets([log]))[log]
        for record in await _read(consumer, log, 0, end):
            view.apply(record)
        yield QuarantineAccess(kafka, view, consumer, producer)


async def _read(
    consumer: AIOKafkaConsumer, source: TopicPartition, begin: int, end: int
) -> list[ConsumerRecord]:
    """Return the records in a range of offsets, except those removed by compaction."""
    try:
        return [
            record
            async for record in records_between(
                consumer,
                source,
                begin,
                end,
                stall_timeout_s=READ_TIMEOUT_S,
                when_truncated=WhenTruncated.CONTINUE,
            )
        ]
    except (LogStalledError, LogTruncatedError) as error:
        raise QuarantineError(str(error)) from error
