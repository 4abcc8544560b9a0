"""How old the oldest record is that a consumer group has not processed, judged from offsets alone."""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES_MAX: Final = 600
"""Lengths of a log that are remembered while none of them is reached; later ones share the last place."""


class PartitionProgress:
    """Follow one partition: its end, and how far its consumer group is.

    Ages come from when this process first saw the log reach a length: they need no record to be
    read, and no clock but a monotonic one.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()
        self._first_end: int | None = None
        self._reached = -1
        self._advanced_at_s = 0.0
        self.end = -1
        self.grew_at_s = float("-inf")

    def observe(self, end: int, reached: int, now_s: float) -> None:
        """Note the offset after the last record, and the offset before which all is processed."""
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
    def is_proven(self) -> bool:
        """Whether a record that was written after the first observation has been processed."""
        return self._first_end is not None and self._reached > self._first_end

    def age_s(self, now_s: float) -> float:
        """Age of the oldest record that is not processed; 0 without one."""
        return max(0.0, now_s - self._ends[0][1]) if self._ends else 0.0

    def fault(self, partition: str, age_max_s: float, now_s: float) -> str | None:
        """Say what is wrong in one line; None when records are processed in time."""
        age_s, idle_s = self.age_s(now_s), now_s - self._advanced_at_s
        if age_s <= age_max_s:
            return None if self.is_proven else f"{partition} has not been seen to make progress yet"
        oldest = f"oldest unprocessed record is {age_s:.0f} s old"
        if idle_s > age_max_s:
            return f"{partition} has made no progress for {idle_s:.0f} s ({oldest})"
        return f"{partition} is behind ({oldest})"
