"""Chooses the checkpoint to continue from.

A checkpoint follows all rows that it covers, so any of them is a valid start, whichever worker
wrote it. Those of a suspended worker may follow checkpoints of its successor that cover more.

Versions count from the base of the log's first checkpoint. A worker that finds no checkpoint writes
one and reads it back. If two workers do so, the first in the log is valid for both: with two bases,
versions would not show what a row contains.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.core.rollups.fold import Checkpoint


def index_of_latest(checkpoints: Sequence[Checkpoint]) -> int:
    """Return the index of the checkpoint to continue from; they are in the order of the log."""
    base = checkpoints[0].version_base
    return max(
        (index for index, checkpoint in enumerate(checkpoints) if checkpoint.version_base == base),
        key=lambda index: (checkpoints[index].input_offset, index),
    )


def is_first(checkpoint: Checkpoint) -> bool:
    """Return whether it was written before the first record; others may be far before it."""
    return checkpoint.input_offset < 0
