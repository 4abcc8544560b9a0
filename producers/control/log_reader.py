"""Read the control-plane log from its beginning and follow it, reconnecting after failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Gauge

from producers import metrics
from producers.errors import ControlUnavailableError
from producers.kafka.clients import new_consumer, started, stopped
from producers.settings import KafkaSettings

POLL_MS: Final = 500
# The broker answers requests of a connection in order, so ``end_offsets`` waits for a fetch.
FETCH_WAIT_MS: Final = 150
RECONNECT_S: Final = 0.5
STOP_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)

Deliver = Callable[[bytes | None, bytes | None, int], None]
"""Receives a record's key, value and offset; must not raise."""


class LogReader:
    """Deliver the committed records of a partition in order."""

    def __init__(
        self,
        kafka: KafkaSettings,
        partition: TopicPartition,
        deliver: Deliver,
        lag: Gauge = metrics.CONTROL_LAG_RECORDS,
    ) -> None:
        """``lag`` shows how many records were not delivered yet."""
        self._lag = lag
        self._kafka = kafka
        self._partition = partition
        self._deliver = deliver
        self._next_offset = 0
        self._expected: dict[int, bool] = {}
        self._advanced = asyncio.Condition()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._consumer = await self._connected()

    async def start(self) -> None:
        """Deliver everything that is in the log, then return and follow it.

        Raises:
            KafkaError: the broker did not return the end of the log.
        """
        assert self._consumer is not None, "connect() comes first"
        # Requested before the first fetch, for which it would have to wait.
        end = await self._end_offset(self._consumer)
        self._begin_to_read(self._consumer)
        self._task = asyncio.create_task(self._follow(), name="control-log")
        await self.read_up_to(end)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await stopped(self._consumer, STOP_TIMEOUT_S)

    async def read_to_the_end(self) -> None:
        """Return once everything that is in the log now has been delivered.

        Raises:
            ControlUnavailableError, KafkaError: the broker did not return the end of the log.
        """
        if self._consumer is None:
            message = "the control-plane log is being connected again"
            raise ControlUnavailableError(message)
        await self.read_up_to(await self._end_offset(self._consumer))

    async def read_up_to(self, offset: int) -> None:
        """Return once everything before an offset has been delivered."""
        async with self._advanced:
            await self._advanced.wait_for(lambda: self._next_offset >= offset)

    def expect(self, offset: int) -> None:
        """Record whether the record at an offset is delivered, for ``was_read``."""
        self._expected[offset] = False

    def was_read(self, offset: int) -> bool:
        """Return whether an expected record was delivered, and forget it."""
        return self._expected.pop(offset, False)

    async def _follow(self) -> None:
        """Deliver records; after any failure reconnect and continue at the next offset."""
        while True:
            try:
                if self._consumer is None:
                    self._consumer = await self._connected()
                    self._begin_to_read(self._consumer)
                await self._poll(self._consumer)
            except Exception as error:  # noqa: BLE001  # no failure may end this loop
                log.warning("control-plane log lost, connecting again", error=repr(error))
                metrics.CONTROL_RECONNECTS.inc()
                if self._consumer is not None:
                    await stopped(self._consumer, STOP_TIMEOUT_S)
                    self._consumer = None
                await asyncio.sleep(RECONNECT_S)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        polled = await consumer.getmany(self._partition, timeout_ms=POLL_MS)
        for message in polled.get(self._partition, ()):
            if message.offset in self._expected:
                self._expected[message.offset] = True
            self._deliver(message.key, message.value, message.offset)
            self._next_offset = message.offset + 1
        # Compaction and transactions leave gaps, so the position may be beyond the last record.
        position = await consumer.position(self._partition)
        async with self._advanced:
            self._next_offset = max(self._next_offset, position)
            self._advanced.notify_all()
        end = consumer.highwater(self._partition) or position
        self._lag.set(max(0, end - position))

    async def _end_offset(self, consumer: AIOKafkaConsumer) -> int:
        ends: dict[TopicPartition, int] = await consumer.end_offsets([self._partition])
        return ends[self._partition]

    async def _connected(self) -> AIOKafkaConsumer:
        consumer: AIOKafkaConsumer = await started(
            lambda: new_consumer(
                self._kafka,
                auto_offset_reset="earliest",
                # Uncommitted records must have no effect.
                isolation_level="read_committed",
                fetch_max_wait_ms=FETCH_WAIT_MS,
                request_timeout_ms=int(self._kafka.request_timeout_s * 1000),
            ),
            self._kafka,
        )
        return consumer

    def _begin_to_read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        consumer.seek(self._partition, self._next_offset)
