"""Examples of dashboards in the API's description."""

from __future__ import annotations

from typing import Any, Final

DASHBOARD_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "Cost and latency by model",
    "description": "What the models cost, and how long they take.",
    "range": "7d",
    "variables": [{"name": "Model", "dimension": "model", "values": []}],
    "tiles": [
        {
            "title": "Cost by model",
            "chart": "columns",
            "query": {
                "view": "observations",
                "measures": ["cost_usd"],
                "group_by": ["model"],
                "top": 8,
            },
            "width": 2,
            "height": 2,
        },
        {
            "title": "Latency",
            "chart": "heatmap",
            "query": {"view": "observations", "measures": ["latency_ms.histogram"]},
            "width": 2,
            "height": 2,
        },
    ],
}
DASHBOARD_EXAMPLE: Final[dict[str, Any]] = {
    "id": "d3c8371a6e0b45b1c6a0e4f2",
    **DASHBOARD_REQUEST_EXAMPLE,
    "author": "pk-tm-4f2d9c8371a6",
    "created_at": "2026-11-21T12:00:00.000Z",
    "updated_at": "2026-11-21T12:00:00.000Z",
}
