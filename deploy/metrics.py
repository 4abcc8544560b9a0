"""What a process measures about itself as such."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

STALLED: Final = Gauge(
    "tracemill_process_stalls",
    "Partitions, or the event loop, that do not move though they should.",
)
LOOP_BLOCKED: Final = Counter(
    "tracemill_process_loop_blocked_total", "How often the event loop did not run for long."
)
