"""What the query API counts about itself."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

QUERY_SECONDS: Final = Histogram(
    "tracemill_query_seconds",
    "Time of one question in the store, by question and outcome (ok, limit, unavailable, refused).",
    ["question", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
QUERIES_RUNNING: Final = Gauge("tracemill_query_running", "Questions in the store right now.")
LIMITS_REACHED: Final = Counter(
    "tracemill_query_limits_reached_total",
    "Answers refused or shortened because a limit was reached, by the name of the setting.",
    ["limit"],
)
REQUESTS: Final = Counter(
    "tracemill_query_requests_total", "Requests answered, by route and status.", ["route", "status"]
)
READY: Final = Gauge(
    "tracemill_ready_check", "1 where a dependency was found in order when last asked.", ["check"]
)
