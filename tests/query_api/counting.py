"""Read the query API's metrics."""

from __future__ import annotations

from prometheus_client import REGISTRY


def reached(limit: str) -> float:
    """How often the limit of this name was reached so far."""
    labels = {"limit": limit}
    return REGISTRY.get_sample_value("tracemill_query_limits_reached_total", labels) or 0.0
