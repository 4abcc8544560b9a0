"""Quarantine input of stage 1 that would crash the process, before the worker folds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from streams.core.observations.encoding import EncodingLimits, encoded
from streams.core.observations.failures import FoldFailedError
from streams.core.observations.fold import ObservationsFold
from streams.core.observations.isolation import Isolation
from streams.core.observations.reading import ReadRecord, SourceRecord, read
from streams.quarantine.screen import Screen
from streams.quarantine.suspicion import Record
from streams.runtime.partition_worker import SourceMessage


class ScreenedAgainError(Exception):
    """Part of the input was quarantined, so the chunk is folded again without it."""


class ObservationsScreen:
    """The screen of one partition of ``events``."""

    def __init__(self, screen: Screen, fold: ObservationsFold, encoding: EncodingLimits) -> None:
        self._screen = screen
        self._fold = fold
        self._encoding = encoding
        self._chunk: list[Record] = []

    async def fold(
        self,
        messages: Sequence[SourceMessage],
        *,
        fold_chunk: Callable[[list[SourceMessage]], Awaitable[None]],
        folded_to: Callable[[], int],
        written: Callable[[], Awaitable[object]],
    ) -> None:
        """Fold a chunk without its quarantined input.

        1. Drop quarantined input. 2. Try in a child process to decode the rest. 3. Fold the rest
        together, or each record alone; ``try_first`` is called before each attempt. 4. If
        ``try_first`` quarantined input, repeat without it.
        """
        left = list(messages)
        while left:
            try:
                await self._fold_once(left, fold_chunk, written)
            except ScreenedAgainError:
                left = [each for each in left if each.offset > folded_to()]
            else:
                return

    async def _fold_once(
        self,
        messages: list[SourceMessage],
        fold_chunk: Callable[[list[SourceMessage]], Awaitable[None]],
        written: Callable[[], Awaitable[object]],
    ) -> None:
        screen = self._screen
        records = await screen.kept(
            [Record(each.offset, each.append_us // 1_000, each.value) for each in messages]
        )
        if screen.is_tried_first(records[0].offset):
            records = await screen.survivors(records, self._decoded)
        self._chunk = records
        kept = [
            replace(message, value=record.value)
            for message, record in zip(messages, records, strict=True)
        ]
        if not screen.is_alone(kept[0].offset):
            await fold_chunk(kept)
            return
        for message in kept:
            await screen.alone(message.offset, partial(fold_chunk, [message]), written)

    async def try_first(self, records: Sequence[ReadRecord], isolation: Isolation) -> None:
        """Try in a child process to fold the input of an attempt.

        Raises:
            ScreenedAgainError: part of the input was quarantined.
        """
        if not self._screen.is_tried_first(records[0].offset):
            return
        offsets = {record.offset for record in records}
        tried = [record for record in self._chunk if record.offset in offsets]

        def fold_all(some: Sequence[Record]) -> None:
            if not some:
                return
            decoded = self._decoded(some)
            try:
                needs = self._fold.needs(decoded, isolation)
                encoded(self._fold.fold(decoded, needs, -1, isolation), self._encoding)
            except FoldFailedError:
                pass  # exceptions do not crash the process; the worker handles them

        survivors = await self._screen.survivors(tried, fold_all)
        if survivors is not tried:
            raise ScreenedAgainError

    def _decoded(self, some: Sequence[Record]) -> list[ReadRecord]:
        decoded = [read(SourceRecord(r.offset, r.timestamp_ms * 1_000, r.value)) for r in some]
        self._fold.needs(decoded)
        return decoded
