"""Quarantine input of stage 2 that would crash the process, instead of applying it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from streams.core.rollups.delta_record import read_deltas
from streams.core.rollups.deltas import Delta
from streams.core.rollups.fold import ProjectFold
from streams.quarantine.screen import Screen
from streams.quarantine.suspicion import Record
from streams.runtime.partition_worker import SourceMessage

Batch = Sequence[tuple[SourceMessage, bytes]]
"""Records, each with the part of its value that is not quarantined."""


async def apply_screened(
    screen: Screen,
    fold: ProjectFold,
    batch: Batch,
    *,
    read_back: Callable[[list[Delta]], Awaitable[object]],
    apply: Callable[[Batch], Awaitable[None]],
    flushed: Callable[[int], Awaitable[None]],
) -> None:
    """Apply a batch without its quarantined input.

    1. Drop quarantined input. 2. Try in a child process to decode the rest. 3. Read back the groups
    that it changes. 4. Try in a child process to apply it. 5. Apply it: all records together, or
    each record alone.
    """
    records = await screen.kept(
        [Record(message.offset, message.append_us // 1_000, value) for message, value in batch]
    )
    if screen.is_tried_first(records[0].offset):
        now_s = int(time.time())

        def apply_all(some: Sequence[Record]) -> None:
            for record in some:
                fold.apply(record.offset, read_deltas(record.value).deltas, now_s)
            fold.flush()

        def decode(some: Sequence[Record]) -> list[Delta]:
            return [delta for record in some for delta in read_deltas(record.value).deltas]

        records = await screen.survivors(records, decode)
        await read_back(decode(records))
        records = await screen.survivors(records, apply_all)
    kept = [(message, record.value) for (message, _), record in zip(batch, records, strict=True)]
    if not screen.is_alone(records[0].offset):
        await apply(kept)
        return
    for message, value in kept:
        offset = message.offset
        await screen.alone(offset, partial(apply, [(message, value)]), partial(flushed, offset))
