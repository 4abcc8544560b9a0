"""Examples of sessions and users for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from query_api.openapi.langfuse_examples import TRACE_DETAIL_EXAMPLE

LANGFUSE_SESSION_LIST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "id": "session-4",
            "createdAt": "2026-11-21T12:00:00.000Z",
            "projectId": "default",
            "environment": "production",
        }
    ],
    "meta": {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1},
}
LANGFUSE_SESSION_EXAMPLE: Final[dict[str, Any]] = {
    **LANGFUSE_SESSION_LIST_EXAMPLE["data"][0],
    "traces": [
        {
            name: value
            for name, value in TRACE_DETAIL_EXAMPLE.items()
            if name not in ("observations", "scores")
        }
    ],
}
_TOKENS: Final[dict[str, Any]] = {"input": 1000, "output": 60, "total": 1060}
_TOTALS: Final[dict[str, Any]] = {
    "traces": 1,
    "observations": 2,
    "errors": 0,
    "cost_usd": "0.0031",
    "unpriced": 0,
    "tokens": _TOKENS,
    "latency_ms": {"mean": 1842.0, "p50": 1842.0, "p95": 1842.0, "max": 1842.0},
    "first_seen": "2026-11-21T12:00:00.000Z",
    "last_seen": "2026-11-21T12:00:01.842Z",
    "environments": ["production"],
    "scores": {"helpful": {"count": 1, "mean": 1.0, "values": {"True": 1}}},
}
USER_EXAMPLE: Final[dict[str, Any]] = {"id": "user-17", "sessions": 1, **_TOTALS}
_SESSION: Final[dict[str, Any]] = {
    "id": "session-4",
    "user_ids": ["user-17"],
    "users": 1,
    **_TOTALS,
}
_LAST_PAGE: Final[dict[str, Any]] = {"has_more": False, "cursor": None}
USER_LIST_EXAMPLE: Final[dict[str, Any]] = {"data": [USER_EXAMPLE], "meta": _LAST_PAGE}
SESSION_LIST_EXAMPLE: Final[dict[str, Any]] = {"data": [_SESSION], "meta": _LAST_PAGE}
CONVERSATION_EXAMPLE: Final[dict[str, Any]] = {
    "session": _SESSION,
    "turns": [
        {
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "name": "answer-question",
            "user_id": "user-17",
            "environment": "production",
            "start": "2026-11-21T12:00:00.000Z",
            "end": "2026-11-21T12:00:01.842Z",
            "latency_ms": 1842.0,
            "input": "Where is my invoice?",
            "output": "Under Billing.",
            "level": "DEFAULT",
            "observations": 2,
            "errors": 0,
            "cost_usd": "0.0031",
            "unpriced": 0,
            "tokens": _TOKENS,
        }
    ],
    "meta": _LAST_PAGE,
}
