"""Define the metrics of the stage that places events without a trace id."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

WAITING: Final = Gauge("tracemill_placement_waiting", "Events that wait for their observation.")
PLACED: Final = Counter(
    "tracemill_placement_placed_total",
    "Events without a trace id that were placed in the trace of their observation (found), or in"
    " their own trace (deadline, waiting_max, waiting_bytes_max).",
    ["outcome"],
)
DROPPED: Final = Counter(
    "tracemill_placement_dropped_total", "Events of deleted projects that waited."
)
LOOKUP_S: Final = Histogram(
    "tracemill_placement_lookup_seconds",
    "Duration of the queries that look observations up.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LAG_RECORDS: Final = Gauge(
    "tracemill_placement_lag_records", "Records that were not looked up yet.", ["partition"]
)
LAG_S: Final = Gauge(
    "tracemill_placement_lag_seconds", "Age of the oldest of these records.", ["partition"]
)
LIMIT_REACHED: Final = Counter(
    "tracemill_placement_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
