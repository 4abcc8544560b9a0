"""Choose the checkpoint to continue from.

A checkpoint follows all rows that it covers in the log, so any checkpoint of any worker is a valid
start. In the log, checkpoints of a suspended worker may follow those of its successor, which cover
more records.

Row versions count from ``version_base`` of the first checkpoint in the log. A worker that finds no
checkpoint writes one and reads the log again. If two workers do so, both use the first one: with
two bases, the version of a row would not determine the records that it contains.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.core.rollups.fold import Checkpoint


def index_of_latest(checkpoints: Sequence[Checkpoint]) -> int:
    """Return the index of the checkpoint to continue from, given checkpoints in log order."""
    base = checkpoints[0].version_base
    return max(
        (index for index, checkpoint in enumerate(checkpoints) if checkpoint.version_base == base),
        key=lambda index: (checkpoints[index].input_offset, index),
    )


def is_first(checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint was written before the first record was applied."""
    return checkpoint.input_offset < 0
