"""Estimate from offsets how old the oldest unprocessed record of a consumer group is."""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES_MAX: Final = 600
"""Maximum number of end offsets that are kept; above it, a new one replaces the last."""


class PartitionProgress:
    """Follow the end of a partition and the committed offset of its consumer group.

    The age of a record is the time since this process first saw an end offset after it. So no
    record has to be read, and clocks of different machines are not compared.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()
        self._first_end: int | None = None
        self._reached = -1
        self._advanced_at_s = 0.0
        self.end = -1
        self.grew_at_s = float("-inf")

    def observe(self, end: int, reached: int, now_s: float) -> None:
        """Record the end offset, and the offset up to which all records are processed."""
        if self._first_end is None:
            self._first_end, self._advanced_at_s = end, now_s
        elif end > self.end:
            self.grew_at_s = now_s
        if end > self.end:
            if len(self._ends) >= SAMPLES_MAX:
                _, at_s = self._ends.pop()
                self._ends.append((end, at_s))
            else:
                self._ends.append((end, now_s))
            self.end = end
        if reached != self._reached:
            self._reached, self._advanced_at_s = reached, now_s
        while self._ends and self._ends[0][0] <= reached:
            self._ends.popleft()

    @property
    def lag(self) -> int:
        """Return the number of unprocessed records."""
        return max(0, self.end - max(self._reached, 0))

    @property
    def is_proven(self) -> bool:
        """Return whether a record written after the first observation has been processed."""
        return self._first_end is not None and self._reached > self._first_end

    def age_s(self, now_s: float) -> float:
        """Return the age of the oldest unprocessed record; 0 if there is none."""
        return max(0.0, now_s - self._ends[0][1]) if self._ends else 0.0

    def fault(self, partition: str, age_max_s: float, now_s: float) -> str | None:
        """Return why records are not processed in time, in one line; None if they are."""
        age_s, idle_s = self.age_s(now_s), now_s - self._advanced_at_s
        if age_s <= age_max_s:
            return None if self.is_proven else f"{partition} has not made progress yet"
        oldest = f"oldest unprocessed record is {age_s:.0f} s old"
        if idle_s > age_max_s:
            return f"{partition} has made no progress for {idle_s:.0f} s ({oldest})"
        return f"{partition} is behind ({oldest})"
