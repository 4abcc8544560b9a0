"""Read the records of a partition in order; detect truncated logs and stalled reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import Any, Final, Literal

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from producers import metrics
from producers.errors import LogStalledError, LogTruncatedError
from producers.kafka.clients import new_consumer
from producers.settings import KafkaSettings

POLL_MS: Final = 500

Isolation = Literal["read_committed", "read_uncommitted"]

SCAN_WAIT_MS: Final = 20
"""Maximum time that the broker waits for new records when a scan is at the end of the log."""

log = structlog.get_logger(__name__)


class WhenTruncated(Enum):
    """What to do when the log does not contain the next offset.

    The reason is that retention removed it, or that the topic was created again.
    """

    FAIL = "fail"
    CONTINUE = "continue"
    """Continue with the first record in the log; records may be read again."""


def new_log_consumer(
    kafka: KafkaSettings, isolation: Isolation = "read_uncommitted", **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer for a ``LogCursor`` that follows a log without end."""
    return new_consumer(
        kafka,
        auto_offset_reset="none",  # otherwise aiokafka would silently change the offset
        isolation_level=isolation,
        request_timeout_ms=int(kafka.request_timeout_s * 1000),
        **options,
    )


def new_scan_consumer(
    kafka: KafkaSettings, isolation: Isolation = "read_uncommitted", **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer for ``records_between``, to read up to known ends and then to stop.

    At the end of a log, the broker waits only ``SCAN_WAIT_MS`` for new records. While it waits, it
    answers no other request on the same connection, such as a request for offsets.
    """
    return new_log_consumer(kafka, isolation, fetch_max_wait_ms=SCAN_WAIT_MS, **options)


class LogCursor:
    """A position in a partition, which moves past the records that ``poll`` returns.

    It also moves past offsets without a record for this reader: those of transaction markers, of
    aborted transactions, and of records that compaction removed.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        begin: int,
        *,
        stall_timeout_s: float,
        when_truncated: WhenTruncated,
    ) -> None:
        """Assign the partition to a consumer of ``new_log_consumer``, at the offset ``begin``."""
        self._consumer = consumer
        self._partition = partition
        self._stall_timeout_s = stall_timeout_s
        self._when_truncated = when_truncated
        self._moved_s = asyncio.get_running_loop().time()
        self.position = begin
        """The offset of the next record."""
        self.truncations = 0
        """How often the log did not contain the next offset."""
        consumer.assign([partition])
        consumer.seek(partition, begin)

    async def poll(self, timeout_ms: int, end: int) -> list[ConsumerRecord]:
        """Return the next records, if any arrive in time; ``end`` is the known end of the log.

        Raises:
            LogStalledError: no record before ``end`` arrived within ``stall_timeout_s``.
            LogTruncatedError: the log does not contain the next offset.
            KafkaError: a request failed.
        """
        try:
            polled = await self._consumer.getmany(self._partition, timeout_ms=timeout_ms)
        except OffsetOutOfRangeError:
            await self._find_position()
            return []
        position = await self._consumer.position(self._partition)
        now_s = asyncio.get_running_loop().time()
        if position != self.position or position >= end:
            self._moved_s = now_s
        elif now_s - self._moved_s >= self._stall_timeout_s:
            metrics.LIMIT_REACHED.labels(limit="log_stall_timeout_s").inc()
            message = (
                f"{_name(self._partition)}: nothing after offset {position} arrived within "
                f"{self._stall_timeout_s:g} s, but the log ends at {end}"
            )
            raise LogStalledError(message)
        self.position = position
        records: list[ConsumerRecord] = polled.get(self._partition, [])
        return records

    async def _find_position(self) -> None:
        """Move to the first record of the log if it does not hold the current position."""
        partition = self._partition
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        if first <= self.position <= end:
            return
        message = f"{_name(partition)} contains the offsets {first} to {end}, not {self.position}"
        metrics.LOG_TRUNCATIONS.labels(partition.topic).inc()
        if self._when_truncated is WhenTruncated.FAIL:
            raise LogTruncatedError(message)
        log.warning("log_truncated", reason=message)
        self._consumer.seek(partition, first)
        self.position = first
        self.truncations += 1


async def records_between(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    begin: int,
    end: int,
    *,
    stall_timeout_s: float,
    when_truncated: WhenTruncated = WhenTruncated.FAIL,
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records from the offset ``begin`` to before ``end``, an offset that existed.

    Raises:
        LogStalledError: no record arrived within ``stall_timeout_s``.
        LogTruncatedError: the log no longer contains ``begin``, or has become shorter.
        KafkaError: a request failed.
    """
    if begin >= end:
        return
    cursor = LogCursor(
        consumer, partition, begin, stall_timeout_s=stall_timeout_s, when_truncated=when_truncated
    )
    while cursor.position < end:
        before = cursor.position
        for record in await cursor.poll(POLL_MS, end):
            if record.offset < end:
                yield record
        if cursor.position < before:
            message = f"{_name(partition)} has become shorter: it ends before the offset {before}"
            raise LogTruncatedError(message)


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"
