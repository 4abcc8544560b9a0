"""Share counts of usage between processes over a compacted topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers import metrics
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from producers.usage.counts import UsageCounts

RECORD_BYTES: Final = 16 * 1024
STOP_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


class UsageLog:
    """Read the counts of other processes, and write those of this one."""

    def __init__(
        self, kafka: KafkaSettings, interval_s: float, counts: UsageCounts | None = None
    ) -> None:
        self.counts = counts or UsageCounts()
        self._kafka = kafka
        self._interval_s = interval_s
        self._topic = kafka.topics.usage
        self._reader = LogReader(
            kafka,
            TopicPartition(self._topic, 0),
            self._apply,
            isolation="read_committed",
            on_progress=_show_lag,
            disconnected_max_s=kafka.broker_wait_s,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Share counts during the block, which begins when all existing counts have been read.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            TopicError: the topic of the counts does not exist.
        """
        async with AsyncExitStack() as stack:
            producer = await started(
                lambda: new_producer(self._kafka, batch_bytes=RECORD_BYTES), self._kafka
            )
            stack.push_async_callback(stopped, producer, STOP_TIMEOUT_S)
            stack.push_async_callback(self._reader.stop)
            await self._reader.start()
            await self._reader.caught_up()
            writing = asyncio.create_task(self._write_regularly(producer), name="usage-log")
            try:
                yield
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_TIMEOUT_S):
                        await self._write(producer)

    async def _write_regularly(self, producer: AIOKafkaProducer) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._write(producer)

    async def _write(self, producer: AIOKafkaProducer) -> None:
        unwritten = self.counts.take_unwritten()
        try:
            sent = [
                await producer.send(self._topic, value, key=key.encode(), partition=0)
                for key, value in unwritten.items()
            ]
            await asyncio.gather(*sent)
        except (KafkaError, asyncio.CancelledError) as error:
            self.counts.not_written(unwritten)  # counts are absolute, so they can be written twice
            if isinstance(error, asyncio.CancelledError):
                raise
            log.warning("usage_not_written", reason=repr(error))

    def _apply(self, record: ConsumerRecord) -> None:
        try:
            self.counts.apply((record.key or b"").decode(), record.value)
        except ValueError as error:  # msgspec's errors are ValueErrors
            log.warning("usage_record_skipped", offset=record.offset, reason=repr(error))


def _show_lag(next_offset: int, end: int) -> None:
    metrics.USAGE_LAG_RECORDS.set(end - next_offset)
