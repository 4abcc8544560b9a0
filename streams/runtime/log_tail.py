"""Follow a topic with one partition from its beginning, and reconnect after failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers.kafka.clients import new_consumer, started, stopped
from producers.settings import KafkaSettings

log = structlog.get_logger(__name__)

POLL_MS: Final = 500
RECONNECT_S: Final = 0.5
STOP_TIMEOUT_S: Final = 2.0


def _log_refused(record: ConsumerRecord, error: Exception) -> None:
    log.error("record_skipped", topic=record.topic, offset=record.offset, reason=repr(error))


class LogTail:
    """Call ``on_record`` once for every record of partition 0 of ``topic``, in order.

    If it raises, the record is passed to ``on_refused`` and skipped.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        on_record: Callable[[ConsumerRecord], None],
        on_refused: Callable[[ConsumerRecord, Exception], None] = _log_refused,
    ) -> None:
        self._kafka = kafka
        self._partition = TopicPartition(topic, 0)
        self._on_record = on_record
        self._on_refused = on_refused
        self._next_offset = 0
        self._advanced = asyncio.Condition()
        self._consumer: AIOKafkaConsumer | None = None
        self._asking: AIOKafkaConsumer | None = None
        """Queries the ends of logs; on the other consumer these queries would wait for a fetch."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to follow; ``caught_up`` waits until existing records are read.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._asking = await started(self._new_consumer, self._kafka)
        self._consumer = await self._connect()
        self._task = asyncio.create_task(self._follow(), name=f"tail {self._partition.topic}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for consumer in (self._consumer, self._asking):
            if consumer is not None:
                await stopped(consumer, STOP_TIMEOUT_S)

    async def caught_up(self) -> None:
        """Wait until every record that existed at the time of the call was read."""
        end = await self.end_of(self._partition)
        async with self._advanced:
            await self._advanced.wait_for(lambda: self._next_offset >= end)

    async def end_of(self, partition: TopicPartition) -> int:
        """Return the offset after the last record of a partition; wait while the broker is down."""
        while True:
            if self._asking is not None:
                with contextlib.suppress(KafkaError):
                    ends = await self._asking.end_offsets([partition])
                    return int(ends[partition])
            await asyncio.sleep(RECONNECT_S)

    async def _follow(self) -> None:
        """Read records; after any failure, reconnect and continue at the same position."""
        while True:
            try:
                if self._consumer is None:
                    self._consumer = await self._connect()
                await self._poll(self._consumer)
            except Exception as error:  # noqa: BLE001  # this loop must outlive every failure of the connection
                log.warning("tail_lost", topic=self._partition.topic, reason=repr(error))
                if self._consumer is not None:
                    await stopped(self._consumer, STOP_TIMEOUT_S)
                    self._consumer = None
                await asyncio.sleep(RECONNECT_S)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        polled = await consumer.getmany(self._partition, timeout_ms=POLL_MS)
        for record in polled.get(self._partition, ()):
            try:
                self._on_record(record)
            except Exception as error:  # noqa: BLE001  # whatever the record holds
                self._on_refused(record, error)
            self._next_offset = record.offset + 1
        # Compaction leaves gaps: the position counts, not the last record.
        position = await consumer.position(self._partition)
        async with self._advanced:
            self._next_offset = max(self._next_offset, position)
            self._advanced.notify_all()

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = await started(self._new_consumer, self._kafka)
        consumer.assign([self._partition])
        consumer.seek(self._partition, self._next_offset)
        return consumer

    def _new_consumer(self) -> AIOKafkaConsumer:
        return new_consumer(
            self._kafka,
            auto_offset_reset="earliest",
            request_timeout_ms=int(self._kafka.request_timeout_s * 1000),
        )
