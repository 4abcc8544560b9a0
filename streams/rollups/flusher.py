"""Write the changes of a partition of stage 2, then acknowledge their source records."""

from __future__ import annotations

import asyncio
from collections import deque

from streams.core.rollups.fold import ProjectFold
from streams.rollups import metrics
from streams.rollups.delta_input import DeltaInput
from streams.rollups.failures import ProjectFailures
from streams.rollups.output import ProjectOutput
from streams.rollups.settings import ProjectSettings
from streams.runtime.event_wait import set_within
from streams.runtime.partition_worker import SourceMessage
from tracemill.clock import now_us


class Flusher:
    """A task that flushes soon after a change, and periodically while there is none.

    Periodic flushes ensure that retention never deletes the only checkpoint.
    """

    def __init__(
        self,
        settings: ProjectSettings,
        fold: ProjectFold,
        source: DeltaInput,
        output: ProjectOutput,
        failures: ProjectFailures,
    ) -> None:
        self.output = output
        self._settings = settings
        self._fold = fold
        self._source = source
        self._failures = failures
        self._unacknowledged: deque[SourceMessage] = deque()
        self._changed = asyncio.Event()
        self._flushed = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Flush until ``stop`` is called, and once more after that."""
        settings = self._settings
        is_last = False
        while not is_last:
            if await set_within(self._changed, settings.marker_interval_s):
                await set_within(self._stopping, settings.flush_interval_s)
            is_last = self._stopping.is_set()
            await self._flush()

    def stop(self) -> None:
        """End ``run`` after one more flush, which writes what was applied until now."""
        self._stopping.set()
        self._changed.set()

    def applied(self, message: SourceMessage) -> None:
        """Flush soon, and acknowledge ``message`` after that."""
        self._unacknowledged.append(message)
        self._changed.set()

    async def wait_below_limit(self) -> None:
        """Wait while ``unacknowledged_records_max`` records are applied but not flushed."""
        while len(self._unacknowledged) >= self._settings.unacknowledged_records_max:
            metrics.LIMIT_REACHED.labels("unacknowledged_records_max").inc()
            await self._next_flush()

    async def flushed_past(self, offset: int) -> None:
        """Wait until the record at ``offset`` is in an acknowledged flush."""
        while self._source.written_to <= offset:
            await self._next_flush()

    async def _next_flush(self) -> None:
        self._flushed.clear()
        await self._flushed.wait()

    async def _flush(self) -> None:
        """Write all changes, then acknowledge their source records in order."""
        fold = self._fold
        self._changed.clear()
        messages, self._unacknowledged = self._unacknowledged, deque()
        flush = fold.flush()
        self._failures.rows(flush.failed, flush.checkpoint.input_offset, now_us())
        written = await self.output.write(flush)
        self._source.written_to = flush.checkpoint.input_offset + 1
        fold.written(spend_to=written.spend_to, windows_to=written.windows_to)
        for message in messages:
            message.ack()
        self._flushed.set()
