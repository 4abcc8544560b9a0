"""Apply the records of a partition of ``deltas`` to its fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from streams.core.rollups.delta_record import DeltaRecord, read_deltas
from streams.core.rollups.fold import NONE_UNREADABLE, ProjectFold
from streams.quarantine.screen import Screen
from streams.rollups import metrics
from streams.rollups.delta_input import DeltaInput
from streams.rollups.failures import ProjectFailures
from streams.rollups.flusher import Flusher
from streams.rollups.read_back import ReadBack
from streams.rollups.screen import apply_screened
from streams.runtime.partition_worker import SourceMessage


class Applier:
    """A task that reads back the groups to which deltas belong, then applies the deltas.

    Attributes:
        appended_s: the latest append time of the applied records, by the broker's clock.
    """

    def __init__(
        self,
        fold: ProjectFold,
        read_back: ReadBack,
        flusher: Flusher,
        failures: ProjectFailures,
        screen: Screen | None,
    ) -> None:
        self.appended_s = 0
        self._fold = fold
        self._read_back = read_back
        self._flusher = flusher
        self._failures = failures
        self._screen = screen

    async def run(self, source: DeltaInput) -> None:
        """Apply the records of ``source`` until cancelled."""
        while True:
            batch = [(message, message.value) for message in await source.take()]
            screen = self._screen
            if batch and screen is not None and screen.is_active:
                await apply_screened(
                    screen,
                    self._fold,
                    batch,
                    read_back=partial(self._read_back.is_readable, self._fold),
                    apply=self._apply_batch,
                    flushed=self._flusher.flushed_past,
                )
            else:
                await self._apply_batch(batch)
            await self._flusher.wait_below_limit()

    async def _apply_batch(self, batch: Sequence[tuple[SourceMessage, bytes]]) -> None:
        fold = self._fold
        records = [(message, read_deltas(value)) for message, value in batch]
        everything = [delta for _, record in records for delta in record.deltas]
        one_by_one = not await self._read_back.is_readable(fold, everything)
        for message, record in records:
            unreadable: Mapping[int, Exception] = NONE_UNREADABLE
            if one_by_one:
                unreadable = await self._read_back.unreadable(fold, record.deltas)
            self._apply(message, record, unreadable)

    def _apply(
        self, message: SourceMessage, record: DeltaRecord, unreadable: Mapping[int, Exception]
    ) -> None:
        # By the broker's clock, so that lateness depends neither on this machine's clock nor on
        # replays.
        self.appended_s = max(self.appended_s, message.append_us // 1_000_000)
        applied = self._fold.apply(message.offset, record.deltas, self.appended_s, unreadable)
        self._flusher.applied(message)
        metrics.RECORDS.inc()
        metrics.DELTAS.inc(len(record.deltas))
        metrics.REPEATS.inc(applied.repeats)
        metrics.LATE.inc(applied.late)
        metrics.AHEAD.inc(applied.ahead)
        self._failures.record(record, applied.failed, message.offset, message.append_us)
