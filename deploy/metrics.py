"""Metrics of a process, whatever its role."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

STALLED: Final = Gauge(
    "tracemill_process_stalls",
    "Partitions with input and without progress; 1 while the event loop is blocked.",
)
LOOP_BLOCKED: Final = Counter(
    "tracemill_process_loop_blocked_total", "How often the event loop did not run for long."
)
