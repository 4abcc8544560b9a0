"""Which of the markers in a log counts.

Each marker follows all that it speaks of, so each is a place to go on from, whoever wrote it; but
those of a worker that was stopped may lie behind those of its successor, which are further.

Versions count from the base of the log's first marker. A worker that finds no marker writes one and
reads it back. Of two that do so the first in the log counts, also for the worker that wrote the
second: with two bases, what a row contains could not be told from its version.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.core.rollups.fold import Marker


def index_of_latest(markers: Sequence[Marker]) -> int:
    """Return which of some markers, in the order of the log, to go on from."""
    base = markers[0].version_base
    return max(
        (index for index, marker in enumerate(markers) if marker.version_base == base),
        key=lambda index: (markers[index].input_offset, index),
    )


def is_first(marker: Marker) -> bool:
    """Return whether it was written before the first record: others may lie far before it."""
    return marker.input_offset < 0
