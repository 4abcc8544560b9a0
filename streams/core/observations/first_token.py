"""Check the time of a first token against the times of its observation."""

from __future__ import annotations


def is_within(first_us: int, start_us: int, end_us: int) -> bool:
    """Return whether a first token is within start and end, as far as these are known (not 0).

    An end before the start counts as the start.
    """
    return first_us >= start_us and (not end_us or first_us <= max(start_us, end_us))
