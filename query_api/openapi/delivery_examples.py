"""Define examples of ``/v1/deliveries`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_ATTEMPT: Final = {
    "attempt": 1,
    "status": "delivered",
    "status_code": 200,
    "latency_ms": 41.7,
    "answer": "ok",
    "detail": "status 200",
    "attempted_at": "2026-11-21T12:00:01.977Z",
}
_DELIVERY: Final[dict[str, Any]] = {
    "id": "a1c4e07d52f94b8e~wh_7b0c41e5a9d84f3c92e6d1aa",
    "webhook_id": "wh_7b0c41e5a9d84f3c92e6d1aa",
    "channel_id": None,
    "alert_ids": ["a1c4e07d52f94b8e"],
    "event": "budget.threshold_crossed",
    "status": "delivered",
    "attempts": 1,
    "last_attempt": _ATTEMPT,
    "created_at": "2026-11-21T12:00:01.935Z",
    "next_attempt_at": None,
}
DELIVERY_EXAMPLE: Final = _DELIVERY | {"log": [_ATTEMPT]}
DELIVERY_LIST_EXAMPLE: Final = {
    "data": [_DELIVERY],
    "meta": {"has_more": False, "cursor": None},
}
REQUESTED_EXAMPLE: Final = {
    "request_id": "drq_51b0ddfc8e0a4c6f9d27a1b3",
    "delivery_id": "a1c4e07d52f94b8e~wh_7b0c41e5a9d84f3c92e6d1aa~drq_51b0ddfc8e0a4c6f9d27a1b3",
}
REPETITION_EXAMPLE: Final = REQUESTED_EXAMPLE | {"delivery_id": None}
