"""Check the time of a first token against the times of its observation."""

from __future__ import annotations

from typing import Final

ROUNDING_US: Final = 1_000
"""Instrumentations round the time of the first token up to a full millisecond."""


def first_token_within(first_us: int, start_us: int, end_us: int) -> int:
    """Return a time of a first token that statistics may use; 0 if it is before start or after end.

    An ``end_us`` of 0 is unknown, and an end before the start counts as the start. A time that was
    rounded beyond the end counts as the end.
    """
    if first_us < start_us:
        return 0
    if not end_us:
        return first_us
    end_us = max(start_us, end_us)
    return min(first_us, end_us) if first_us <= end_us + ROUNDING_US else 0
