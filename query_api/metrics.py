"""Define the query API's metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

QUERY_SECONDS: Final = Histogram(
    "tracemill_query_seconds",
    "Time of one query in the store, by query and outcome (ok, limit, unavailable, refused).",
    ["query", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
QUERIES_RUNNING: Final = Gauge("tracemill_query_running", "Queries that are running in the store.")
LIMITS_REACHED: Final = Counter(
    "tracemill_query_limits_reached_total",
    "Requests that were refused, or responses that were truncated, because of a limit, by setting.",
    ["limit"],
)
REQUESTS: Final = Counter(
    "tracemill_query_requests_total", "Requests, by route and status.", ["route", "status"]
)
DECISIONS: Final = Counter(
    "tracemill_query_decisions_total", "Decisions about calls by budgets, by reason.", ["reason"]
)
BUDGET_STATES_LAG: Final = Gauge(
    "tracemill_query_budget_states_lag_records",
    "Records of budgets' states that were not read yet.",
    ["partition"],
)
READY: Final = Gauge(
    "tracemill_ready_check", "1 if the last check of a dependency succeeded, else 0.", ["check"]
)
