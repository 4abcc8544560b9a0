"""Define the dashboard that a project can begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Named = Callable[[str], str]


def _tile(
    title: str, chart: str, query: Mapping[str, Any], width: int = 2, height: int = 2
) -> dict[str, Any]:
    query = {"view": "observations", **query}
    return {"title": title, "chart": chart, "query": query, "width": width, "height": height}


def cost_and_latency(named: Named) -> dict[str, Any]:
    """Return the body of a dashboard; ``named`` returns a text in the language of the viewer."""
    of_models = {"group_by": ["model"], "top": 8}
    return {
        "name": named("Cost and latency by model"),
        "range": "24h",
        "variables": [
            {"name": named("Model"), "dimension": "model"},
            {"name": named("User"), "dimension": "user_id"},
        ],
        "tiles": [
            _tile(
                named("In total"),
                "number",
                {
                    "measures": ["cost_usd", "count", "errors", "latency_ms.p95", "ttft_ms.p95"],
                    "compare_with": "previous",
                },
                width=4,
                height=1,
            ),
            _tile(named("Cost by model"), "columns", {"measures": ["cost_usd"], **of_models}),
            _tile(named("Latency p95 by model"), "line",
                  {"measures": ["latency_ms.p95"], **of_models}),
            _tile(named("Latency of all calls"), "heatmap",
                  {"measures": ["latency_ms.histogram"], "filter": {"type": ["GENERATION"]}}),
            _tile(named("Users who spend most"), "bar",
                  {"measures": ["cost_usd"], "group_by": ["user_id"], "top": 6}),
            _tile(
                named("Models side by side"),
                "table",
                {
                    "measures": ["cost_usd", "count", "errors", "latency_ms.p50", "latency_ms.p95",
                                 "tokens.input", "tokens.output"],
                    "filter": {"type": ["GENERATION", "EMBEDDING"]},
                    **of_models,
                },
                width=4,
            ),
        ],
    }  # fmt: skip
