"""Read the clock of this machine."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return microseconds since the epoch."""
    return time.time_ns() // 1_000
