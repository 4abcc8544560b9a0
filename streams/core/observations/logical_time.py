"""Logical timestamps, which order updates: ``ts_us × 2``, plus one for a partial update.

So of a whole event and a partial update with the same time the partial update wins.
"""

from __future__ import annotations


def whole_event_ts(ts_us: int) -> int:
    """Return the logical timestamp of a whole event."""
    return ts_us * 2


def partial_update_ts(ts_us: int) -> int:
    """Return the logical timestamp of a partial update."""
    return ts_us * 2 + 1
