"""Define examples of the metrics API for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

METRICS_QUERY_EXAMPLE: Final = (
    '{"view":"observations","dimensions":[{"field":"providedModelName"}],'
    '"metrics":[{"measure":"totalCost","aggregation":"sum"},'
    '{"measure":"latency","aggregation":"p95"}],'
    '"filters":[],"timeDimension":{"granularity":"day"},'
    '"fromTimestamp":"2026-11-21T00:00:00Z","toTimestamp":"2026-11-28T00:00:00Z",'
    '"orderBy":null,"config":{"row_limit":100}}'
)
METRICS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "time_dimension": "2026-11-21",
            "providedModelName": "gpt-4o",
            "sum_totalCost": 0.3658,
            "p95_latency": 3120.7,
        }
    ]
}
DAILY_METRICS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "date": "2026-11-21",
            "countTraces": 118,
            "countObservations": 236,
            "totalCost": 0.3658,
            "usage": [
                {
                    "model": "gpt-4o",
                    "inputUsage": 118000,
                    "outputUsage": 7080,
                    "totalUsage": 125080,
                    "countObservations": 118,
                    "countTraces": 118,
                    "totalCost": 0.3658,
                }
            ],
        }
    ],
    "meta": {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1},
}
