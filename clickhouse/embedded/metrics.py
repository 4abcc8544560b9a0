"""Define the embedded store's metrics."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class StoreFrontMetrics:
    registry: CollectorRegistry
    statements: Counter
    seconds: Histogram
    rows_written: Counter
    bytes_received: Counter
    running: Gauge
    limits_reached: Counter


def store_front_metrics() -> StoreFrontMetrics:
    """Create the metrics in a separate registry, because tests run several servers per process."""
    registry = CollectorRegistry()
    return StoreFrontMetrics(
        registry=registry,
        statements=Counter(
            "tracemill_store_statements", "Statements by kind and outcome.", ["kind", "outcome"],
            registry=registry,
        ),
        seconds=Histogram(
            "tracemill_store_statement_seconds", "Time from request to response.", ["kind"],
            registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
        ),
        rows_written=Counter("tracemill_store_rows_written", "Rows inserted.", registry=registry),
        bytes_received=Counter(
            "tracemill_store_insert_bytes", "Bytes of inserted rows.", registry=registry
        ),
        running=Gauge(
            "tracemill_store_running", "Statements running now.", ["kind"], registry=registry
        ),
        limits_reached=Counter(
            "tracemill_store_limits_reached", "Requests refused because a limit was reached.",
            ["limit"], registry=registry,
        ),
    )  # fmt: skip
