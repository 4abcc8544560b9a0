"""Append to a log while writers in other processes wait.

All writers use the same transactional id. When a writer starts its producer, the broker fences the
previous producer: it aborts its open transaction and rejects its later writes. Therefore a writer
that reads the log to the end after starting its producer has seen all changes until it is fenced
itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from producers import metrics
from producers.errors import ControlUnavailableError
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings

STOP_TIMEOUT_S: Final = 2.0
BACKOFF_FIRST_S: Final = 0.02
BACKOFF_MAX_S: Final = 1.0

log = structlog.get_logger(__name__)

ResultT = TypeVar("ResultT")
LogRecord = tuple[str, bytes | None]
"""Key and value; the value None is a tombstone."""


class _UndecidedError(Exception):
    """A commit failed, and it is unknown whether the records up to ``offset`` were committed."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class ExclusiveWriter:
    """Write to a partition, one change at a time over all processes."""

    def __init__(self, kafka: KafkaSettings, partition: TopicPartition, reader: LogReader) -> None:
        """Prepare to write; the first write connects."""
        self._kafka = kafka
        self._partition = partition
        self._reader = reader
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._committing: dict[int, bool] = {}
        """Last offsets of writes whose commit is not acknowledged, and whether they were read."""
        self._committed = -1
        """Last offset of the last write of this process."""

    async def write(self, change: Callable[[], Sequence[LogRecord]]) -> int | None:
        """Write the records that ``change`` returns in one transaction.

        ``change`` is called when all earlier records have been read. It is called again if another
        writer wrote first. Its exceptions are raised.

        Returns:
            The offset of the last record; None if there are no records.

        Raises:
            ControlUnavailableError: other writers wrote first in every attempt.
            KafkaError, TimeoutError: the broker failed, and it is unknown whether the change was
                written.
        """
        return await self._finish(self._write(change))

    async def stop(self) -> None:
        """Finish current writes, then close the connection."""
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_TIMEOUT_S)
        for task in self._running:
            task.cancel()
        await self._discard()

    async def abort_before(self, offset: int) -> None:
        """Abort an open transaction before an offset, such as that of a writer that was killed.

        A writer that is still alive repeats its change.

        Raises:
            KafkaError, TimeoutError: the broker failed.
        """
        await self._finish(self._abort_before(offset))

    def record_read(self, offset: int) -> None:
        """Note that the reader delivered the record at an offset: it is committed."""
        if offset in self._committing:
            self._committing[offset] = True

    async def _write(self, change: Callable[[], Sequence[LogRecord]]) -> int | None:
        async with self._lock, asyncio.timeout(self._kafka.control_write_timeout_s):
            self._committing.clear()
            undecided: int | None = None
            for attempt in range(self._kafka.control_write_attempts_max):
                try:
                    if undecided is not None and await self._is_committed(undecided):
                        return undecided
                    undecided = None
                    return await self._attempt(change)
                except _UndecidedError as error:
                    undecided = error.offset
                except KafkaError as error:
                    log.info("control_write_repeated", reason=repr(error)[:300])
                metrics.CONTROL_WRITES_REPEATED.inc()
                limit_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2**attempt)
                await asyncio.sleep(random.uniform(0, limit_s))  # noqa: S311  # spreads writers
        metrics.LIMIT_REACHED.labels(limit="control_write_attempts_max").inc()
        raise ControlUnavailableError("the change could not be written in time; try again")

    async def _finish(self, work: Coroutine[None, None, ResultT]) -> ResultT:
        """Finish the work in a task, as cancelling the caller must not interrupt a request."""
        task = asyncio.create_task(work, name="control-log write")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieve the exception, because the caller may be cancelled

    async def _abort_before(self, offset: int) -> None:
        async with self._lock, asyncio.timeout(self._kafka.control_write_timeout_s):
            if await self._reader.end_of(self._partition) > offset:
                return
            await self._discard()
            await self._abort_open()

    async def _attempt(self, change: Callable[[], Sequence[LogRecord]]) -> int | None:
        """Make one attempt: 1. begin, 2. read the records of others, 3. write, 4. commit."""
        try:
            producer = await self._begun()
            # The caller of an earlier write may still wait until it has been read.
            await self._reader.read_up_to(self._committed + 1)
            records = await self._planned(change)
            if not records:
                await producer.abort_transaction()
                return None
            sent = [
                await producer.send(
                    self._partition.topic,
                    value,
                    key=key.encode(),
                    partition=self._partition.partition,
                )
                for key, value in records
            ]
            _retrieve_failures(producer)
            offset: int = max(each.offset for each in await asyncio.gather(*sent))
            self._committing[offset] = False
            try:
                await producer.commit_transaction()
            except KafkaError as error:
                raise _UndecidedError(offset) from error
        except BaseException:
            # The next producer aborts the transaction if it is still open.
            await self._discard()
            raise
        del self._committing[offset]
        self._committed = offset
        return offset

    async def _is_committed(self, offset: int) -> bool:
        """Return whether a failed commit took effect; a new producer makes the outcome final."""
        await self._abort_open()
        return self._committing.pop(offset)

    async def _abort_open(self) -> None:
        """Start a new producer, which aborts the transaction of the one before."""
        try:
            producer = await self._begun()
            await producer.abort_transaction()
        except BaseException:
            await self._discard()
            raise

    async def _begun(self) -> AIOKafkaProducer:
        """Begin a transaction; if the producer is new, read the records of others first."""
        producer, is_new = self._producer, self._producer is None
        if producer is None:
            producer = self._producer = await started(self._new_producer, self._kafka)
        await producer.begin_transaction()
        if is_new:
            await self._reader.caught_up()
        return producer

    async def _planned(self, change: Callable[[], Sequence[LogRecord]]) -> Sequence[LogRecord]:
        """Return the records to write; if ``change`` raises, read the log to its end and retry."""
        try:
            records = change()
        except Exception:  # noqa: BLE001  # it is raised again below if the view is current
            records = ()
        if not records:
            # Another writer may have fenced this one, which only a write would show.
            await self._reader.caught_up()
            records = change()
        return records

    def _new_producer(self) -> AIOKafkaProducer:
        return new_producer(
            self._kafka,
            batch_bytes=self._kafka.control_record_max_bytes,
            transactional_id=f"{self._partition.topic}-writer",
        )

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        self._committed = -1  # the next producer reads the whole log first
        if producer is None:
            return
        _retrieve_failures(producer)
        await stopped(producer, STOP_TIMEOUT_S)


def _retrieve_failures(producer: AIOKafkaProducer) -> None:
    """Retrieve the exceptions of a transaction and its batches; asyncio would log them otherwise.

    aiokafka does not await these futures. ``_attempt`` receives the exception in another way.
    """
    batches = producer._message_accumulator._batches.values()  # noqa: SLF001  # no public way
    waiters = [batch._drain_waiter for queue in batches for batch in queue]  # noqa: SLF001
    transaction = producer._txn_manager._transaction_waiter  # noqa: SLF001
    for waiter in (*waiters, *([] if transaction is None else [transaction])):
        waiter.add_done_callback(_retrieve)


def _retrieve(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.exception()
