"""Define examples of ``/v1/query`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_RANGE: Final = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-28T00:00:00Z"}
QUERY_REQUEST_EXAMPLES: Final[tuple[dict[str, Any], ...]] = (
    {
        **_RANGE,
        "measures": ["count", "cost_usd", "latency_ms.p95"],
        "formulas": {"cost_per_call": "cost_usd / count"},
        "group_by": ["model"],
        "filter": {"environment": ["production"]},
        "step": "1d",
        "time_zone": "Europe/Berlin",
        "compare_with": "previous",
    },
    {
        **_RANGE,
        "measures": ["cost_usd", "traces"],
        "formulas": {"cost_per_trace": "cost_usd / traces"},
        "group_by": ["user_id"],
        "top": 10,
    },
    {
        **_RANGE,
        "measures": ["latency_ms.histogram", "latency_ms.p99.9"],
        "filters": [{"field": "latency_ms", "operator": ">", "value": 100}],
        "step": "1h",
    },
)
_META: Final[dict[str, Any]] = {
    "view": "observations",
    "from": "2026-11-21T00:00:00.000Z",
    "to": "2026-11-28T00:00:00.000Z",
    "step": "1d",
    "time_zone": "Europe/Berlin",
    "group_by": ["model"],
    "compared_from": "2026-11-14T00:00:00.000Z",
    "compared_to": "2026-11-21T00:00:00.000Z",
}
QUERY_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "start": "2026-11-20T23:00:00.000Z",
            "end": "2026-11-21T23:00:00.000Z",
            "group": {"model": "gpt-4o"},
            "is_other": False,
            "values": {
                "count": 118,
                "cost_usd": "0.3658",
                "latency_ms.p95": 3120.7,
                "cost_per_call": 0.0031,
            },
            "previous": {
                "count": 100,
                "cost_usd": "0.31",
                "latency_ms.p95": 3000.1,
                "cost_per_call": 0.0031,
            },
            "change": {
                "count": 0.18,
                "cost_usd": 0.18,
                "latency_ms.p95": 0.040199,
                "cost_per_call": 0.0,
            },
        }
    ],
    "meta": {
        **_META,
        "fresh_until": "2026-11-28T00:00:01.250Z",
        "sources": ["stream", "rollup"],
        "rows_read": 8192,
        "bytes_read": 1048576,
        "percentile_relative_error": 0.01,
        "warnings": [],
        "has_more": False,
        "cursor": None,
    },
}
EXPLAIN_EXAMPLE: Final[dict[str, Any]] = {
    "source": "observations",
    "sources": ["hot", "cold"],
    "excluded": [
        {"source": "windows", "reasons": ["group_by: it does not have user_id"]},
        {"source": "spend", "reasons": ["measures: it does not have latency_ms.p95"]},
    ],
    "seconds": {"observations_slim": 604800},
    "tables": [{"table": "observations_slim", "rows": 57344, "bytes": 9437184}],
    "meta": {**_META, "percentile_relative_error": 0.01},
}
