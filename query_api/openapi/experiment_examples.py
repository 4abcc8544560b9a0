"""Examples of comparisons of experiments in the API's description."""

from __future__ import annotations

from typing import Any, Final

_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"


def _run(name: str, id_: str, mean_usd: str, correctness: float) -> dict[str, Any]:
    return {
        "name": name,
        "id": id_,
        "items": 1,
        "failed": 0,
        "cost_usd": {"mean": mean_usd, "total": mean_usd},
        "latency_ms": {"mean": 812.5, "p50": 812.5, "p95": 812.5, "max": 812.5},
        "tokens": {"mean": 1500.0},
        "scores": {"correctness": {"mean": correctness, "count": 1, "ci95": None}},
    }


_CHANGE: Final = {
    "run": "gpt-4o",
    "item_id": "invoice-location",
    "score": "correctness",
    "from": 0.5,
    "to": 1.0,
}
COMPARISON_EXAMPLE: Final[dict[str, Any]] = {
    "dataset": "support/billing",
    "runs": [
        _run("gpt-4o-mini", "5f0c8a1e9d3b4c72", "0.00036", 0.5),
        _run("gpt-4o", "0c1d2e3f4a5b6c7d", "0.006", 1.0),
    ],
    "differences": [
        {
            "run": "gpt-4o",
            "baseline": "gpt-4o-mini",
            "measure": "cost_usd",
            "items": 1,
            "mean": "0.00564",
            "ci95": None,
            "significant": False,
        },
        {
            "run": "gpt-4o",
            "baseline": "gpt-4o-mini",
            "measure": "scores.correctness",
            "items": 1,
            "mean": 0.5,
            "ci95": None,
            "significant": False,
        },
    ],
    "regressions": [],
    "improvements": [_CHANGE],
    "missing": [{"run": "gpt-4o", "item_id": "refund", "reason": "not_run"}],
    "failed": [],
    "items": [
        {
            "item_id": "invoice-location",
            "runs": {
                "gpt-4o-mini": {
                    "trace_id": _TRACE,
                    "has_trace": True,
                    "failed": False,
                    "cost_usd": "0.00036",
                    "unpriced": 0,
                    "latency_ms": 812.5,
                    "tokens": 1500,
                    "scores": {"correctness": 0.5},
                }
            },
        }
    ],
    "truncated": False,
    "left_out": {"regressions": 0, "improvements": 0, "missing": 0, "failed": 0},
}
IMPORT_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "dataset": "support/billing",
    "items": [
        {"id": "refund", "input": {"question": "How do I get a refund?"}},
        {"input": {"question": "Where is my invoice?"}, "expected_output": "Under Billing."},
    ],
}
IMPORTED_EXAMPLE: Final[dict[str, Any]] = {
    "written": 1,
    "refused": [
        {
            "index": 0,
            "message": "input does not meet the schema of the dataset: question: 1 is not of type"
            " 'string'",
        }
    ],
}
