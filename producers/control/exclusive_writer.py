"""Appends to a log so that the writers of several processes exclude each other.

Every writer uses the same transactional id. When one of them starts a producer, the broker fences
the producer before it: what that one has not committed is aborted, and it cannot write any more. So
a writer that reads the log to its end after it started knows every change that was written this
way, for as long as it is not fenced.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from producers import metrics
from producers.control.log_reader import LogReader
from producers.errors import ControlError, ControlUnavailableError
from producers.kafka.clients import new_producer, started, stopped
from producers.settings import KafkaSettings

STOP_TIMEOUT_S: Final = 2.0
BACKOFF_FIRST_S: Final = 0.02
BACKOFF_MAX_S: Final = 1.0

log = structlog.get_logger(__name__)

LogRecord = tuple[str, bytes | None]
"""Key and value; None: the key is deleted."""


class _UndecidedError(Exception):
    """A commit failed: the broker may have committed up to ``offset`` or not."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class ExclusiveWriter:
    """Writes records of one partition, one change at a time over all processes."""

    def __init__(self, kafka: KafkaSettings, partition: TopicPartition, reader: LogReader) -> None:
        """Connect with the first write."""
        self._kafka = kafka
        self._partition = partition
        self._reader = reader
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[int | None]] = set()

    async def write(self, change: Callable[[], Sequence[LogRecord]]) -> int | None:
        """Write what ``change`` returns, all or nothing; return the last offset, None for nothing.

        ``change`` is called when everything written before has been read, again if another writer
        was faster; what it raises is raised.

        Raises:
            ControlUnavailableError: others write all the time, or the broker fails.
            KafkaError, TimeoutError: the broker failed; whether the change was written is unknown.
        """
        # A caller that gives up must not interrupt the client in the middle of a request.
        task = asyncio.create_task(self._write(change), name="control-log write")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Close the connection, after what is being written."""
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_TIMEOUT_S)
        for task in self._running:
            task.cancel()
        await self._discard()

    async def _write(self, change: Callable[[], Sequence[LogRecord]]) -> int | None:
        async with self._lock, asyncio.timeout(self._kafka.control_write_timeout_s):
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
        raise ControlUnavailableError("other processes change the control plane at the same time")

    def _ended(self, task: asyncio.Task[int | None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone

    async def _attempt(self, change: Callable[[], Sequence[LogRecord]]) -> int | None:
        """1. Begin. 2. Read what others wrote, if any could. 3. Write. 4. Commit."""
        try:
            producer = await self._begun()
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
            self._reader.expect(offset)
            try:
                await producer.commit_transaction()
            except KafkaError as error:
                raise _UndecidedError(offset) from error
        except BaseException:
            # The next producer aborts what this one may have begun.
            await self._discard()
            raise
        self._reader.was_read(offset)
        return offset

    async def _is_committed(self, offset: int) -> bool:
        """Return whether a write that failed was committed, which a new producer decides."""
        try:
            producer = await self._begun()
            await producer.abort_transaction()
        except BaseException:
            await self._discard()
            raise
        return self._reader.was_read(offset)

    async def _begun(self) -> AIOKafkaProducer:
        """Begin a transaction; with a new producer, first read what others wrote."""
        producer, is_new = self._producer, self._producer is None
        if producer is None:
            producer = self._producer = await started(self._new_producer, self._kafka)
        await producer.begin_transaction()
        if is_new:
            await self._reader.read_to_the_end()
        return producer

    async def _planned(self, change: Callable[[], Sequence[LogRecord]]) -> Sequence[LogRecord]:
        """Return what to write; a refusal is checked against the end of the log."""
        try:
            records = change()
        except ControlError:
            records = ()
        if not records:
            # Another writer may have fenced this one, which only a write would show.
            await self._reader.read_to_the_end()
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
        if producer is None:
            return
        _retrieve_failures(producer)
        await stopped(producer, STOP_TIMEOUT_S)


def _retrieve_failures(producer: AIOKafkaProducer) -> None:
    """Retrieve how a transaction and its batches fail, which asyncio would log as never retrieved.

    Nothing waits for these futures of aiokafka; the failure itself reaches ``_attempt``.
    """
    batches = producer._message_accumulator._batches.values()  # noqa: SLF001  # no public way
    waiters = [batch._drain_waiter for queue in batches for batch in queue]  # noqa: SLF001
    transaction = producer._txn_manager._transaction_waiter  # noqa: SLF001
    for waiter in (*waiters, *([] if transaction is None else [transaction])):
        waiter.add_done_callback(_retrieve)


def _retrieve(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.exception()
