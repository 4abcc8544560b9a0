"""Define the metrics of levels."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECOMPUTED: Final = Counter(
    "tracemill_levels_recomputed_total", "Hours and days of projects recomputed.", ["level"]
)
PENDING: Final = Gauge(
    "tracemill_levels_pending",
    "Ended hours and days of projects that wait to be recomputed.",
    ["level"],
)
LAG_S: Final = Gauge(
    "tracemill_levels_lag_seconds",
    "Time since the oldest change that an ended hour or day does not include; readers use windows.",
    ["level"],
)
SECONDS: Final = Histogram(
    "tracemill_levels_statement_seconds", "Duration of recomputing a batch.", ["level"]
)
FAILURES: Final = Counter(
    "tracemill_levels_failures_total", "Passes or batches that failed; they are repeated."
)
LIMIT_REACHED: Final = Counter(
    "tracemill_levels_limit_reached_total", "How often a named limit was reached.", ["limit"]
)
