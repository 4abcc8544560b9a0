"""Define how sketches are decoded; the composition root passes the stream processors' function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

SketchCounts = Callable[[bytes], Mapping[float, int]]
"""Decode a sketch: its values, and how often each occurs."""


def no_counts(_state: bytes) -> Mapping[float, int]:
    """Return no values, for applications without histograms."""
    return {}
