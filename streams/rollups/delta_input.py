"""Deliver each record of a partition of ``deltas`` once, in order, starting at the checkpoint."""

from __future__ import annotations

import asyncio
import time

import structlog

from streams.rollups import metrics
from streams.rollups.context import StageContext
from streams.runtime.lag import Backlog, Lag
from streams.runtime.partition_worker import SourceMessage

log = structlog.get_logger(__name__)

SEEK_AGAIN_S = 2.0


class DeltaInput:
    """A queue of records that are not applied yet, with the applied and written offsets.

    Attributes:
        received_to: the offset after the last record received from Faust.
        expected: the offset of the next record to apply; None if any record may be the next.
        written_to: the offset after the last record whose effects are written.
    """

    def __init__(self, partition: int, context: StageContext, read_again_to: int | None) -> None:
        """Create an empty queue.

        Args:
            partition: the number of the partition.
            context: dependencies that the partitions of this process share.
            read_again_to: ``received_to`` of the previous worker of this partition, which failed:
                records before it are read again. None if there was no previous worker.
        """
        self.received_to = read_again_to or 0
        self.expected: int | None = None
        self.written_to = 0
        self._partition = partition
        self._context = context
        self._reads_again = read_again_to is not None
        self._is_open = not self._reads_again
        self._pending: asyncio.Queue[SourceMessage] = asyncio.Queue(
            context.settings.pending_records_max
        )
        self._sought_at_s = 0.0
        self._backlog = Backlog()

    @property
    def is_full(self) -> bool:
        """Return whether ``put`` would wait."""
        return self._is_open and self._pending.full()

    async def put(self, message: SourceMessage) -> None:
        """Add the next record; wait while ``pending_records_max`` records are pending."""
        self.received_to = max(self.received_to, message.offset + 1)
        if not self._is_open:
            return  # it is read again
        if self._pending.full():
            metrics.LIMIT_REACHED.labels("pending_records_max").inc()
        self._settle_backlog()
        self._backlog.received(message.offset, message.append_us / 1e6)
        await self._pending.put(message)

    def resume_at(self, offset: int) -> None:
        """Continue at ``offset``: the effects of all earlier records are written."""
        self.expected = self.written_to = offset

    async def take(self) -> list[SourceMessage]:
        """Wait for records; return those to apply next, possibly none.

        Records whose effects are already written are acknowledged. If records are missing, the
        consumer seeks back to the first of them.
        """
        batch = [await self._pending.get()]
        while not self._pending.empty() and len(batch) < self._context.settings.batch_records_max:
            batch.append(self._pending.get_nowait())
        metrics.PENDING.labels(self._partition).set(self._pending.qsize())
        due: list[SourceMessage] = []
        for message in batch:
            offset = message.offset
            if self.expected is not None and offset > self.expected:
                await self._seek_back(self.expected, offset)
            if self.expected is None or offset == self.expected:
                due.append(message)
                self.expected = offset + 1
            elif offset < self.written_to:
                message.ack()
        return due

    async def read_again(self) -> None:
        """Seek back until all records that the previous worker had received are received again.

        Faust drops records that it fetched before it seeks, so once may not be enough.
        """
        if not self._reads_again:
            return
        assert self.expected is not None, "resume_at() was not called"
        self._is_open = True
        while self.expected < self.received_to:
            before = self.expected
            await self._seek(before)
            await asyncio.sleep(SEEK_AGAIN_S)
            while self.expected > before:
                before = self.expected
                await asyncio.sleep(SEEK_AGAIN_S)

    async def close(self) -> None:
        """Drop pending records and those that arrive later; ``put`` no longer waits."""
        self._is_open = False
        while not self._pending.empty():
            self._pending.get_nowait()
            await asyncio.sleep(0)

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return how far the partition is behind ``end`` (``streams.runtime.lag.Backlog.lag``)."""
        self._settle_backlog()
        return self._backlog.lag(end, now_s)

    def _settle_backlog(self) -> None:
        if self.expected is not None:
            self._backlog.done(self.written_to)

    async def _seek_back(self, expected: int, received: int) -> None:
        """Seek back to ``expected``, if Faust dropped records or committed them before the write.

        Do not seek if the log has no record between ``expected`` and ``received``.
        """
        if time.monotonic() < self._sought_at_s + SEEK_AGAIN_S:
            return
        context, partition = self._context, self._partition
        earliest = await context.earliest(partition)
        if earliest > expected:
            # Retention deleted records while no worker was running.
            log.error("records_lost", partition=partition, first=expected, next=earliest)
        to = self.expected = await context.next_record(partition, max(expected, earliest))
        if to == received:
            return
        log.warning("seeking_back", partition=partition, to=to)
        await self._seek(to)

    async def _seek(self, offset: int) -> None:
        await self._context.seek(self._partition, offset)
        metrics.SEEKS.inc()
        self._sought_at_s = time.monotonic()
