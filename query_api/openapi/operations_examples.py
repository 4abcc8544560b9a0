"""Define the examples of ``/v1/pipeline`` and of replays of dead letters."""

from __future__ import annotations

from typing import Any, Final

PIPELINE_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "stage": "streams",
            "topic": "tracemill.events",
            "arrived_per_s": 412.5,
            "processed_per_s": 411.9,
            "lag_records": 37,
            "oldest_s": 0.08,
        }
    ],
    "stored_until": "2026-11-21T12:00:00.410Z",
    "limits_reached": [{"counter": "gateway_over_limit", "limit": "events_per_s", "count": 3}],
}
DEAD_LETTER_EXAMPLE: Final[dict[str, Any]] = {
    "id": "3c9d1f0e7a5b4c21",
    "stage": "observations",
    "reason": "processing_failed",
    "detail": "ZeroDivisionError: division by zero",
    "source_topic": "tracemill.events",
    "payload": '{"kind":"observation","id":"b7ad6b7169203331"}',
    "created_at": "2026-11-21T12:00:00.410Z",
    "not_replayable": None,
}
REASONS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "stage": "gateway",
            "reason": "invalid_event",
            "count": 12,
            "last_at": "2026-11-21T12:00:00.410Z",
        }
    ]
}
REPLAY_REQUEST_EXAMPLE: Final[dict[str, Any]] = {"ids": ["3c9d1f0e7a5b4c21"]}
REPLAY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "rpl_0f3c8a2b9d4e5f60",
    "dead_letter_ids": ["3c9d1f0e7a5b4c21"],
    "state": "done",
    "sent": 1,
    "author": "pk-tm-4f2a",
    "created_at": "2026-11-21T12:00:00.410Z",
    "ended_at": "2026-11-21T12:00:01.022Z",
}
REPLAYS_EXAMPLE: Final[dict[str, Any]] = {"data": [REPLAY_EXAMPLE]}
JOBS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "id": "support-chat/1234567/0af7651916cd43dd8448eb211c80319c",
            "kind": "trace_deletion",
            "state": "waiting",
            "attempts": 0,
            "created_at": "2026-11-21T12:00:00.410Z",
            "updated_at": "2026-11-21T12:00:01.022Z",
            "next_attempt_at": "2026-11-21T13:00:00.000Z",
            "detail": "the scores are deleted",
        }
    ],
    "meta": {"has_more": False, "cursor": None},
}
