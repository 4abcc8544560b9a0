"""Define the metrics of every process."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

STALLED: Final = Gauge(
    "tracemill_process_stalls",
    "Partitions that have input and make no progress; 1 while the event loop is blocked.",
)
LOOP_BLOCKED: Final = Counter(
    "tracemill_process_loop_blocked_total",
    "How often the event loop was blocked for longer than TRACEMILL_LOOP_BLOCKED_AFTER_S.",
)
