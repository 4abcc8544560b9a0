"""Define examples of totals of users, sessions and traces for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_TOKENS: Final[dict[str, Any]] = {"input": 1000, "output": 60, "total": 1060}
_NO_TOKENS: Final[dict[str, Any]] = {"input": 0, "output": 0, "total": 0}
_BY_MODEL: Final[list[dict[str, Any]]] = [
    {"model": "gpt-4o", "cost_usd": "0.0031", "tokens": _TOKENS, "unpriced": 0}
]
USER_COST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "date": "2026-11-20",
            "cost_usd": "0",
            "unpriced": 0,
            "tokens": _NO_TOKENS,
            "by_model": [],
        },
        {
            "date": "2026-11-21",
            "cost_usd": "0.0031",
            "unpriced": 0,
            "tokens": _TOKENS,
            "by_model": _BY_MODEL,
        },
    ],
    "meta": {
        "from": "2026-11-20T00:00:00.000Z",
        "to": "2026-11-22T00:00:00.000Z",
        "time_zone": "UTC",
        "cost_usd": "0.0031",
        "unpriced": 0,
    },
}
_TOTALS: Final[dict[str, Any]] = {
    "cost_usd": "0.0031",
    "unpriced": 0,
    "tokens": _TOKENS,
    "traces": 1,
    "observations": 2,
    "errors": 0,
    "first_seen": "2026-11-21T12:00:00.000Z",
    "last_seen": "2026-11-21T12:00:01.842Z",
    "by_model": _BY_MODEL,
}
USER_TOTALS_EXAMPLE: Final[dict[str, Any]] = {"user_id": "user-17"} | _TOTALS
SESSION_TOTALS_EXAMPLE: Final[dict[str, Any]] = {"session_id": "session-4"} | _TOTALS
TRACE_TOTALS_EXAMPLE: Final[dict[str, Any]] = {
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "is_open": False,
    "start_time": "2026-11-21T12:00:00.000Z",
    "end_time": "2026-11-21T12:00:01.842Z",
    "latency_ms": 1842.0,
    "time_to_first_token_ms": 730.0,
    "cost_usd": "0.0031",
    "tokens": _TOKENS,
    "tokens_by_type": {"input": 1000, "output": 60, "total": 1060},
    "observations": 2,
    "errors": 0,
    "unpriced": 0,
    "depth": 2,
    "by_model": _BY_MODEL,
    "truncated": False,
}
