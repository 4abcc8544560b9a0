"""Compute how many records per second arrive in a topic and are processed."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

WINDOW_S: Final = 60.0
"""Time over which rates are averaged."""
SAMPLES_MAX: Final = 120
"""Maximum number of samples of a topic; above it, the oldest one is removed."""


class TopicProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Records of a topic that a stage processes, of all projects together."""

    stage: str
    """`streams` processes events and changes of windows, and `sink` stores rows."""
    topic: str
    arrived_per_s: float
    """Records per second over the last minute. Records contain several events, and idle partitions
    get a record of a check every few seconds."""
    processed_per_s: float
    lag_records: int
    """Records that were not processed yet."""
    oldest_s: float
    """Age of the oldest of them; 0 if there is none."""


class TopicRates:
    """Samples of the sum of a topic's end offsets, and of its processed offsets."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque(maxlen=SAMPLES_MAX)

    def observe(self, now_s: float, end: int, reached: int) -> None:
        """Add a sample, and remove those that are older than the window, except for one."""
        self._samples.append((now_s, end, reached))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    def per_s(self) -> tuple[float, float]:
        """Return the records per second that arrived and that were processed."""
        if len(self._samples) < 2:
            return 0.0, 0.0
        (from_s, first_end, first_reached), (to_s, end, reached) = (
            self._samples[0],
            self._samples[-1],
        )
        seconds = max(to_s - from_s, 1e-3)
        return max(0, end - first_end) / seconds, max(0, reached - first_reached) / seconds
