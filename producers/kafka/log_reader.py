"""Read a partition from its beginning and follow it, across failures of the broker."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers import metrics
from producers.errors import BrokerUnavailableError, LogTruncatedError, TopicError
from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import (
    POLL_MS,
    Isolation,
    LogCursor,
    WhenTruncated,
    new_log_consumer,
)
from producers.settings import KafkaSettings

AWAITED_POLL_MS: Final = 50
"""Maximum duration of a poll while a caller waits for an offset.

It is short because offsets without a record for this reader do not end a poll.
"""
RECORDS_PER_TURN: Final = 250
"""Records that are delivered before other tasks run, about a millisecond."""
RECONNECT_FIRST_S: Final = 0.1
END_RETRY_S: Final = 0.2
END_TIMEOUT_S: Final = 1.0
STOP_TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)


def _log_failure(record: ConsumerRecord, error: Exception) -> None:
    log.error("record_skipped", topic=record.topic, offset=record.offset, reason=repr(error))


class LogReader:
    """Call ``deliver`` once for each record of a partition, in order, one at a time.

    After a failure of the connection, the reader connects again and continues with the next record.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        partition: TopicPartition,
        deliver: Callable[[ConsumerRecord], None],
        *,
        isolation: Isolation,
        begin: int | None = None,
        when_truncated: WhenTruncated = WhenTruncated.CONTINUE,
        on_failure: Callable[[ConsumerRecord, Exception], None] = _log_failure,
        on_progress: Callable[[int, int], None] | None = None,
        disconnected_max_s: float | None = None,
    ) -> None:
        """Prepare to read; ``start`` connects.

        Args:
            kafka: address of the broker, ``log_reconnect_max_s`` and ``log_stall_timeout_s``.
            partition: the partition to read.
            deliver: called with each record.
            isolation: whether records of open and aborted transactions are delivered.
            begin: the first offset; None: the beginning of the log.
            when_truncated: what to do when the log no longer contains the next offset.
            on_failure: called when ``deliver`` raised; the record is skipped.
            on_progress: called with the next offset and the end of the log after each poll.
            disconnected_max_s: maximum time to wait for a broker that does not return the end of
                the log; None: no limit, so that callers must set a deadline.
        """
        self._kafka = kafka
        self._partition = partition
        self._deliver = deliver
        self._isolation: Isolation = isolation
        self._when_truncated = when_truncated
        self._on_failure = on_failure
        self._on_progress = on_progress
        self._disconnected_max_s = disconnected_max_s
        self._next_offset = begin
        self._awaited = 0
        """The highest offset that a caller waits for."""
        self._truncations = 0
        self._failure: LogTruncatedError | None = None
        self._advanced = asyncio.Condition()
        self._consumer: AIOKafkaConsumer | None = None
        self._end_consumer: AIOKafkaConsumer | None = None
        """Requests the ends of logs; ``_consumer`` would delay these requests during a fetch."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin to read; ``caught_up`` waits until existing records are delivered.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._end_consumer = await started(self._new_consumer, self._kafka)
        self._consumer = await started(self._new_consumer, self._kafka)
        self._task = asyncio.create_task(self._follow(), name=f"log {self._partition.topic}")

    async def stop(self) -> None:
        """Stop reading, and disconnect."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for consumer in (self._consumer, self._end_consumer):
            if consumer is not None:
                await stopped(consumer, STOP_TIMEOUT_S)

    async def caught_up(self) -> None:
        """Return once all records that can be read at the time of the call are delivered.

        Raises:
            TopicError: the topic does not exist.
            BrokerUnavailableError: no broker answered within ``disconnected_max_s``.
            LogTruncatedError: the log no longer contains the next offset.
        """
        is_reached = False
        while not is_reached:
            truncations = self._truncations
            end = await self.end_of(self._partition)
            is_reached = await self._wait_for(end, truncations)

    async def read_up_to(self, offset: int) -> None:
        """Return once all records before an offset are delivered.

        Raises:
            LogTruncatedError: the log no longer contains the next offset.
        """
        if not await self._wait_for(offset, self._truncations):
            message = f"{self._partition.topic} was created again, or records were removed"
            raise LogTruncatedError(message)

    async def end_of(self, partition: TopicPartition) -> int:
        """Return the offset after the last record that can be read, in any partition.

        Raises:
            TopicError: the topic does not exist.
            BrokerUnavailableError: no broker answered within ``disconnected_max_s``.
        """
        assert self._end_consumer is not None, "call start() first"
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        while True:
            try:
                ends: dict[TopicPartition, int] = await self._end_consumer.end_offsets([partition])
                return ends[partition]
            except KafkaError as error:
                waited_s = clock() - begun_s
                # A starting broker, or one that was just created, may not know the topic yet.
                if waited_s >= self._kafka.broker_wait_s and await self._is_missing(partition):
                    message = f"topic {partition.topic} does not exist: run `tracemill migrate`"
                    raise TopicError(message) from error
                if self._disconnected_max_s is not None and waited_s >= self._disconnected_max_s:
                    message = f"no Kafka broker answers at {self._kafka.broker}"
                    raise BrokerUnavailableError(message) from error
            await asyncio.sleep(END_RETRY_S)

    async def _is_missing(self, partition: TopicPartition) -> bool:
        assert self._end_consumer is not None
        try:
            return partition.topic not in await self._end_consumer.topics()
        except KafkaError:
            return False

    async def _wait_for(self, offset: int, truncations: int) -> bool:
        """Wait for an offset; return False if the log was truncated since ``truncations``."""
        self._awaited = max(self._awaited, offset)

        def is_decided() -> bool:
            return (
                self._failure is not None
                or self._truncations != truncations
                or (self._next_offset is not None and self._next_offset >= offset)
            )

        async with self._advanced:
            await self._advanced.wait_for(is_decided)
        if self._failure is not None:
            raise self._failure
        return self._truncations == truncations

    async def _follow(self) -> None:
        """Deliver records; after each failure, connect again with exponential backoff."""
        pause_s, topic = RECONNECT_FIRST_S, self._partition.topic
        while self._failure is None:
            before = self._next_offset
            try:
                await self._read()
            except LogTruncatedError as error:
                async with self._advanced:
                    self._failure = error
                    self._advanced.notify_all()
            except Exception as error:  # noqa: BLE001  # connects again after every error
                log.warning("log_reader_disconnected", topic=topic, reason=repr(error))
                metrics.LOG_RECONNECTS.labels(topic).inc()
                if self._next_offset != before:
                    pause_s = RECONNECT_FIRST_S
            if self._consumer is not None:
                await stopped(self._consumer, STOP_TIMEOUT_S)
                self._consumer = None
            if self._failure is None:
                pause_s = await self._pause(pause_s)

    async def _pause(self, pause_s: float) -> float:
        """Wait before connecting again; return the next pause."""
        longest_s = self._kafka.log_reconnect_max_s
        if pause_s >= longest_s:
            metrics.LIMIT_REACHED.labels(limit="log_reconnect_max_s").inc()
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311  # spreads readers
        return min(2 * pause_s, longest_s)

    async def _read(self) -> None:
        """Deliver records until the connection fails."""
        if self._consumer is None:
            self._consumer = await started(self._new_consumer, self._kafka)
        consumer, partition = self._consumer, self._partition
        if self._next_offset is None:
            self._next_offset = (await consumer.beginning_offsets([partition]))[partition]
        cursor = LogCursor(
            consumer,
            partition,
            self._next_offset,
            stall_timeout_s=self._kafka.log_stall_timeout_s,
            when_truncated=self._when_truncated,
        )
        clock = asyncio.get_running_loop().time
        next_end_s = clock() + self._kafka.log_stall_timeout_s
        poll_ms = AWAITED_POLL_MS  # a caller may wait for the beginning of an empty log
        while True:
            truncations = cursor.truncations
            for number, record in enumerate(await cursor.poll(poll_ms, self._awaited), 1):
                try:
                    self._deliver(record)
                except Exception as error:  # noqa: BLE001  # continue with the next record
                    self._on_failure(record, error)
                # After each record, so that none is delivered twice if the connection fails.
                self._next_offset = record.offset + 1
                next_end_s = clock() + self._kafka.log_stall_timeout_s
                if number % RECORDS_PER_TURN == 0:
                    await asyncio.sleep(0)
            if clock() >= next_end_s:
                await self._read_end()
                next_end_s = clock() + self._kafka.log_stall_timeout_s
            async with self._advanced:
                self._next_offset = cursor.position
                if cursor.truncations != truncations:
                    self._truncations += 1
                    self._awaited = 0
                self._advanced.notify_all()
            poll_ms = AWAITED_POLL_MS if cursor.position < self._awaited else POLL_MS
            if self._on_progress is not None:
                end = consumer.highwater(partition) or cursor.position
                self._on_progress(cursor.position, max(end, cursor.position))

    async def _read_end(self) -> None:
        """Read the end of an idle log, so that stalls are detected even if no caller waits."""
        assert self._end_consumer is not None
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                ends = await self._end_consumer.end_offsets([self._partition])
                self._awaited = max(self._awaited, ends[self._partition])

    def _new_consumer(self) -> AIOKafkaConsumer:
        return new_log_consumer(self._kafka, self._isolation)
