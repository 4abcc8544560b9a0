"""Process one partition of stage 2: restore its state, apply deltas and write rows."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from streams.core.rollups.fold import ProjectFold
from streams.errors import ProgressUnknownError
from streams.quarantine.screen import Screen
from streams.rollups import metrics
from streams.rollups.applier import Applier
from streams.rollups.context import StageContext
from streams.rollups.delta_input import DeltaInput
from streams.rollups.evictor import Evictor
from streams.rollups.failures import ProjectFailures
from streams.rollups.flusher import Flusher
from streams.rollups.output import RECORD_OVERHEAD_BYTES, ProjectOutput
from streams.rollups.read_back import ReadBack
from streams.rollups.restoring import progress_of, resume_checkpoint
from streams.runtime.lag import THE_BROKER, THE_STORE, Lag, Position
from streams.runtime.partition_worker import SourceMessage

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    """The components that need a restored state."""

    applier: Applier
    flusher: Flusher
    evictor: Evictor


class ProjectPartition:
    """The worker of one partition of ``deltas`` (``streams.runtime.partition_worker``)."""

    def __init__(
        self,
        partition: int,
        context: StageContext,
        output: ProjectOutput,
        screen: Screen | None = None,
        read_again_to: int | None = None,
    ) -> None:
        """Create the worker, which accepts records immediately.

        Args:
            partition: the number of the partition.
            context: dependencies that the partitions of this process share.
            output: writes rows and dead letters.
            screen: quarantines input that crashes the process; None: nothing is quarantined.
            read_again_to: ``received_to`` of the previous worker of this partition, if it failed.
        """
        self.partition = partition
        self._context = context
        self._output = output
        self._screen = screen
        self._is_restart = read_again_to is not None
        self._source = DeltaInput(partition, context, read_again_to)
        self._read_back = ReadBack(context.reader)
        self._running: _Running | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()

    @property
    def received_to(self) -> int:
        """Return the offset after the last record that was received."""
        return self._source.received_to

    @property
    def is_restored(self) -> bool:
        """Return whether the state is restored, so that records are processed."""
        return self._running is not None

    @property
    def is_full(self) -> bool:
        """Return whether ``put`` would wait."""
        return self._source.is_full

    async def put(self, message: SourceMessage) -> None:
        """Add the next record; wait while too many are pending."""
        await self._source.put(message)

    async def run(self) -> None:
        """Restore the state and apply records, until ``finish`` is called or the task is cancelled.

        Raises:
            Exception: a component failed; the next worker reads unacknowledged records again.
        """
        try:
            running = self._running = await self._restore()
            async with asyncio.TaskGroup() as tasks:
                self._tasks = [
                    tasks.create_task(running.applier.run(self._source)),
                    tasks.create_task(running.evictor.run()),
                    tasks.create_task(self._source.read_again()),
                ]
                tasks.create_task(running.flusher.run())
            await self._end_screen()
        except Exception as error:
            await self._end_screen(error)
            raise
        finally:
            self._running = None
            await self._source.close()
            self._ended.set()

    async def finish(self) -> None:
        """Stop applying; return when all applied records are flushed and ``run`` has ended."""
        if self._running is None:
            return
        for task in self._tasks:
            task.cancel()
        self._running.flusher.stop()
        await self._ended.wait()

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return how far the partition is behind ``end`` (``streams.runtime.lag.Backlog.lag``)."""
        return self._source.lag(end, now_s)

    def position(self) -> Position:
        """Return the progress of this worker; other threads may call this."""
        running, source = self._running, self._source
        if running is None or source.expected is None:
            return Position(None, source.received_to)
        is_querying, is_writing = self._read_back.is_querying, self._output.is_writing
        waits_for = THE_STORE if is_querying else THE_BROKER if is_writing else ""
        trials = self._screen.trials_begun if self._screen is not None else 0
        return Position(source.written_to, source.received_to, waits_for, trials)

    async def _restore(self) -> _Running:
        """Restore the state.

        1. Find the last checkpoint. 2. Wait until the store has all written rows. 3. If the log is
        new, write its first checkpoint and repeat from step 1. 4. Find out how the previous worker
        ended.
        """
        began = time.monotonic()
        context, partition = self._context, self.partition
        kafka, settings = context.kafka, context.settings
        progress = await progress_of(context, self._output, partition)
        checkpoint = await resume_checkpoint(progress, context, partition)
        if progress.checkpoint is not None:
            self._source.resume_at(checkpoint.input_offset + 1)
        elif self._is_restart:
            raise ProgressUnknownError(
                f"no checkpoint of partition {partition}: the position to read from is unknown"
            )
        if self._screen is not None:
            await self._screen.begin(checkpoint.input_offset)
        fold = ProjectFold(
            checkpoint,
            lateness_s=settings.lateness_h * 3600,
            row_bytes_max=kafka.record_max_bytes - RECORD_OVERHEAD_BYTES,
        )
        metrics.RESTORE_S.observe(time.monotonic() - began)
        log.info("restored", partition=partition, next_offset=self._source.expected)
        return self._new_running(fold)

    def _new_running(self, fold: ProjectFold) -> _Running:
        context, partition, output = self._context, self.partition, self._output
        row_bytes_max = context.kafka.record_max_bytes - RECORD_OVERHEAD_BYTES
        failures = ProjectFailures(
            output,
            context.kafka.topics,
            partition,
            context.settings.dead_letter_limit(),
            min(context.settings.dead_letter_payload_bytes_max, row_bytes_max),
        )
        flusher = Flusher(context.settings, fold, self._source, output, failures)
        applier = Applier(fold, self._read_back, flusher, failures, self._screen)
        evictor = Evictor(partition, context, fold, lambda: applier.appended_s)
        return _Running(applier, flusher, evictor)

    async def _end_screen(self, error: Exception | None = None) -> None:
        if self._screen is not None:
            await self._screen.end(error)
