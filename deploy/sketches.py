"""Decode sketches for the query API, by the code of the stream processors."""

from __future__ import annotations

from collections.abc import Mapping

from streams.core.rollups.sketch import bins_of, value_of


def sketch_counts(state: bytes) -> Mapping[float, int]:
    """Return the values of a sketch in microseconds, and how often each occurs.

    Raises:
        ValueError: the bytes are no sketch.
    """
    return {value_of(key): count for key, count in bins_of(state).items()}
