"""Compute up to which time the spend of a partition is known."""

from __future__ import annotations

from collections import deque
from typing import Final

ENDS_MAX: Final = 2_000
"""Times that are kept while nothing is evaluated; above it, every second one is dropped."""


class Freshness:
    """The time up to which all spend of a partition has been evaluated.

    At some times, the end of ``deltas`` is noted. Such a time is reached as soon as everything
    before that end has been evaluated and its states have been read.
    """

    def __init__(self) -> None:
        self.as_of_us: int | None = None
        """None: not known yet."""
        self._ends: deque[tuple[int, int]] = deque()

    def ended_at(self, at_us: int, end: int) -> None:
        """Note that ``deltas`` ended at the offset ``end`` at a time."""
        if len(self._ends) >= ENDS_MAX:
            self._ends = deque(list(self._ends)[::2])
        self._ends.append((at_us, end))

    def evaluated(self, next_offset: int) -> None:
        """Note that everything before an offset is evaluated, and its states have been read."""
        while self._ends and self._ends[0][1] <= next_offset:
            self.as_of_us = self._ends.popleft()[0]
