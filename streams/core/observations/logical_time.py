"""How statements are ordered: by their time; at the same time, what is said of single fields outranks a whole event.

A mark is ``ts_us × 2``, plus one for a partial statement.
"""

from __future__ import annotations


def whole_mark(ts_us: int) -> int:
    return ts_us * 2


def partial_mark(ts_us: int) -> int:
    return ts_us * 2 + 1
