"""Examples of backtests of budgets."""

from __future__ import annotations

from typing import Any, Final

BUDGET_BACKTEST_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "budget": {
        "name": "Users, daily", "group_by": ["user_id"], "period": "day", "limit_usd": "5",
    },
    "from": "2026-11-20T00:00:00Z",
    "to": "2026-11-22T00:00:00Z",
}  # fmt: skip
BUDGET_BACKTEST_EXAMPLE: Final[dict[str, Any]] = {
    "from": "2026-11-20T00:00:00.000Z",
    "to": "2026-11-22T00:00:00.000Z",
    "resolution_s": 900,
    "events": [
        {
            "type": "budget.threshold_crossed",
            "at": "2026-11-20T14:15:00.000Z",
            "limit_name": "",
            "group": {"user_id": "u1"},
            "period_start": "2026-11-20T00:00:00.000Z",
            "threshold": 0.8,
            "spent_usd": "4.2",
            "limit_usd": "5",
        }
    ],
    "alerts": [],
    "series": [
        {
            "limit_name": "",
            "group": {"user_id": "u1"},
            "limit_usd": "5",
            "points": [{"at": "2026-11-20T14:15:00.000Z", "spent_usd": "4.2"}],
        }
    ],
    "truncated": False,
    "groups": 1,
    "groups_evaluated": 1,
    "not_evaluated": [],
}
