"""Define examples of ``/v1/budgets/decision`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

PARAMETER_EXAMPLES: Final[dict[str, list[Any]]] = {
    "user_id": ["user-17"],
    "model": ["gpt-4o"],
    "environment": ["production"],
    "tags": ["batch"],
}
DECISIONS_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "requests": [
        {"user_id": "user-17", "model": "gpt-4o", "estimated_usd": "0.05"},
        {"user_id": "user-18", "model": "gpt-4o", "estimated_tokens": {"input": 1000}},
    ]
}
DECISION_EXAMPLE: Final[dict[str, Any]] = {
    "allow": False,
    "reason": "limit_reached",
    "message": "budget 'each user, daily': 5.02 of 5 USD are spent",
    "remaining_usd": "-0.02",
    "budget_id": "bud_5f2b8c1d9e3a4b6c7d8e9f01",
    "budget_name": "each user, daily",
    "limit_name": None,
    "limit_usd": "5",
    "spent_usd": "5.02",
    "estimated_usd": "0.05",
    "group": {"user_id": "user-17"},
    "tier": "pro",
    "period_end": "2026-11-22T00:00:00.000Z",
    "incomplete": [],
    "as_of": "2026-11-21T12:00:00.100Z",
    "staleness_s": 0.412,
}
