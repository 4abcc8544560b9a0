"""Measure traffic, so that batches can be larger while it is heavy."""

from __future__ import annotations

import math
from typing import Final

AVERAGED_OVER_S: Final = 1.0


class Traffic:
    """An exponentially weighted mean of bytes per second."""

    def __init__(self, light_bytes_per_s: int) -> None:
        self._light_bytes_per_s = light_bytes_per_s
        self._bytes_per_s = 0.0
        self._updated_at_s = 0.0

    def add(self, size_bytes: int, now_s: float) -> None:
        """Count bytes that arrived since the last call."""
        kept = math.exp((self._updated_at_s - now_s) / AVERAGED_OVER_S)
        self._bytes_per_s = self._bytes_per_s * kept + size_bytes / AVERAGED_OVER_S
        self._updated_at_s = now_s

    def stretched(self, interval_s: float, max_s: float) -> float:
        """Return an interval from ``interval_s`` to ``max_s`` that grows with the traffic."""
        load = max(self._bytes_per_s / self._light_bytes_per_s, 1.0)
        return min(interval_s * load, max(interval_s, max_s))
