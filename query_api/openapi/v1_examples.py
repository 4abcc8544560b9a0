"""Define examples of ``/v1`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
_CALL_ID: Final = "00f067aa0ba902b7"
_ROOT_ID: Final = "b7ad6b7169203331"

_CALL: Final[dict[str, Any]] = {
    "id": _CALL_ID,
    "parent_id": _ROOT_ID,
    "type": "GENERATION",
    "name": "generate-answer",
    "level": "DEFAULT",
    "status_message": None,
    "model": "gpt-4o",
    "start_time": "2026-11-21T12:00:00.412Z",
    "end_time": "2026-11-21T12:00:01.842Z",
    "latency_ms": 1430.0,
    "self_latency_ms": 1430.0,
    "cost_source": "computed",
    "computed_cost_usd": None,
    "usage_estimated": False,
    "usage_uncertain": None,
    "unpriced_usage": [],
    "service_tier": None,
    "usage_role": None,
    "self_cost_usd": "0.0031",
    "total_cost_usd": "0.0031",
    "self_tokens": {"input": 1000, "output": 60, "total": 1060},
    "total_tokens": {"input": 1000, "output": 60, "total": 1060},
    "observation_count": 1,
    "error_count": 0,
    "unpriced_count": 0,
    "on_critical_path": True,
    "orphan": False,
    "hidden_children": 0,
    "children": [],
}
_ROOT: Final = _CALL | {
    "id": _ROOT_ID,
    "parent_id": None,
    "type": "SPAN",
    "name": "answer-question",
    "model": None,
    "start_time": "2026-11-21T12:00:00.000Z",
    "latency_ms": 1842.0,
    "self_latency_ms": 412.0,
    "cost_source": "none",
    "self_cost_usd": "0",
    "self_tokens": {},
    "observation_count": 2,
    "children": [_CALL],
}
TREE_EXAMPLE: Final = {
    "trace_id": _TRACE_ID,
    "name": "answer-question",
    "start_time": "2026-11-21T12:00:00.000Z",
    "latency_ms": 1842.0,
    "total_cost_usd": "0.0031",
    "observation_count": 2,
    "unpriced_count": 0,
    "truncated": False,
    "root": _ROOT | {"id": None, "type": "TRACE", "self_latency_ms": 0.0, "children": [_ROOT]},
    "critical_path": [
        {
            "observation_id": _ROOT_ID,
            "name": "answer-question",
            "start_time": "2026-11-21T12:00:00.000Z",
            "duration_ms": 412.0,
        },
        {
            "observation_id": _CALL_ID,
            "name": "generate-answer",
            "start_time": "2026-11-21T12:00:00.412Z",
            "duration_ms": 1430.0,
        },
    ],
}
CACHES_EXAMPLE: Final[dict[str, Any]] = {
    "prompt": {
        "input_tokens": 118000,
        "cached_tokens": 29500,
        "hit_ratio": 0.25,
        "saved_usd": "0.036875",
    },
    "application": {
        "exact": 12,
        "semantic": 3,
        "miss": 45,
        "hit_rate": 0.25,
        "saved_usd": "0.0465",
    },
}
WINDOWS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "start": "2026-11-21T12:00:00.000Z",
            "end": "2026-11-21T12:01:00.000Z",
            "model": "gpt-4o",
            "count": 118,
            "errors": 2,
            "cost_usd": "0.3658",
            "tokens": {"input": 118000, "output": 7080},
            "latency_ms": {"p50": 1391.2, "p90": 2640.3, "p95": 3120.7, "p99": 4411.9},
            "ttft_ms": {"p50": 310.5, "p90": 512.8, "p95": 640.1, "p99": 903.7},
            "output_tokens_per_s": {"p50": 43.1, "p90": 61.2, "p95": 66.3, "p99": 74.9},
            "unpriced": 0,
            "error_types": {"RateLimitError": 2},
            "cache": CACHES_EXAMPLE,
        }
    ],
    "meta": {
        "from": "2026-11-21T12:00:00.000Z",
        "to": "2026-11-21T13:00:00.000Z",
        "step": "1m",
        "time_zone": "UTC",
        "group_by": ["model"],
        "percentile_relative_error": 0.01,
    },
}
CACHE_EXAMPLE: Final = CACHES_EXAMPLE | {
    "data": [
        {
            "start": "2026-11-21T00:00:00.000Z",
            "end": "2026-11-22T00:00:00.000Z",
            "model": "gpt-4o",
            **CACHES_EXAMPLE,
        }
    ],
    "meta": WINDOWS_EXAMPLE["meta"] | {"step": "1d"},
}
BUDGET_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "user-42 a day",
    "scope": {"user_id": "user-42"},
    "period": "day",
    "time_zone": "Europe/Berlin",
    "limit_usd": "0.10",
    "thresholds": [0.8, 1.0],
}
BUDGET_EXAMPLE: Final = BUDGET_REQUEST_EXAMPLE | {
    "id": "bud_1f6c5e0c9a7b4d2e8f3a6b1c",
    "limit_usd": "0.1",
    "created_at": "2026-11-21T11:58:12.604Z",
}
BUDGET_STATUS_EXAMPLE: Final = {
    "budget_id": BUDGET_EXAMPLE["id"],
    "name": "user-42 a day",
    "spent_usd": "0.0868",
    "unpriced": 0,
    "limit_usd": "0.1",
    "remaining_usd": "0.0132",
    "period_start": "2026-11-20T23:00:00.000Z",
    "period_end": "2026-11-21T23:00:00.000Z",
    "crossed": [0.8],
    "incomplete": False,
}
BURN_DOWN_EXAMPLE: Final = {
    "data": [
        {
            "limit_name": "",
            "period": "day",
            "period_start": "2026-11-20T23:00:00.000Z",
            "period_end": "2026-11-21T23:00:00.000Z",
            "time_zone": "Europe/Berlin",
            "group": {},
            "spent_usd": "0.0868",
            "limit_usd": "0.1",
            "thresholds": [0.8, 1.0],
            "points": [
                {"at": "2026-11-20T23:00:00.000Z", "spent_usd": "0"},
                {"at": "2026-11-21T12:00:00.000Z", "spent_usd": "0.0868"},
            ],
            "forecast": [
                {"at": "2026-11-21T12:00:00.000Z", "spent_usd": "0.0868"},
                {"at": "2026-11-21T23:00:00.000Z", "spent_usd": "0.160246153846"},
            ],
            "method": "linear",
            "unpriced": 0,
        }
    ]
}
WEBHOOK_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "url": "https://example.com/hooks/tracemill",
    "events": ["budget.threshold_crossed"],
}
WEBHOOK_EXAMPLE: Final = WEBHOOK_REQUEST_EXAMPLE | {
    "id": "wh_7b0c41e5a9d84f3c92e6d1aa",
    "description": "",
    "disabled": False,
    "created_at": "2026-11-21T11:57:40.113Z",
    "previous_secret_valid_until": None,
}
WEBHOOK_CREATED_EXAMPLE: Final = WEBHOOK_EXAMPLE | {"secret": "whsec_…"}
_META: Final = {"has_more": False, "cursor": None}
ALERT_LIST_EXAMPLE: Final = {
    "data": [
        {
            "id": "a1c4e07d52f94b8e",
            "type": "budget.threshold_crossed",
            "budget_id": BUDGET_EXAMPLE["id"],
            "name": "user-42 a day",
            "episode_id": f"{BUDGET_EXAMPLE['id']}/1795215600000000",
            "state": "firing",
            "severity": "warning",
            "scope": {"user_id": "user-42"},
            "period_start": "2026-11-20T23:00:00.000Z",
            "period_end": "2026-11-21T23:00:00.000Z",
            "threshold": 0.8,
            "spent_usd": "0.0806",
            "limit_usd": "0.1",
            "trace_id": _TRACE_ID,
            "incomplete": False,
            "created_at": "2026-11-21T12:00:01.935Z",
        }
    ],
    "meta": _META,
}
DEAD_LETTER_LIST_EXAMPLE: Final = {
    "data": [
        {
            "id": "3c9d1f0e7a5b4c21",
            "stage": "observations",
            "reason": "invalid_event",
            "detail": "Expected `int`, got `str` - at `$.start_us`",
            "source_topic": "tracemill.events",
            "payload": '{"kind":"observation","start_us":"yesterday"}',
            "created_at": "2026-11-21T12:00:00.410Z",
            "not_replayable": None,
        }
    ],
    "meta": _META,
}
LATE_EVENTS_EXAMPLE: Final = {
    "data": [
        {
            "id": "b7ad6b7169203331",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "type": "GENERATION",
            "name": "answer",
            "model": "gpt-4o",
            "environment": "production",
            "cost_usd": "0.0031",
            "start": "2026-11-21T12:00:00.000Z",
            "received": "2026-11-23T09:30:00.000Z",
            "late_s": 163800.0,
        }
    ],
    "meta": {
        "from": "2026-10-24T12:00:00.000Z",
        "to": "2026-11-23T12:00:00.000Z",
        "late_after_h": 24,
        "has_more": False,
        "cursor": None,
    },
}
STORAGE_EXAMPLE: Final = {
    "data": [
        {
            "table": "observations",
            "volume": "cold",
            "parts": 12,
            "rows": 48211004,
            "bytes": 9731204113,
            "first_day": "2026-10-02",
            "last_day": "2026-11-13",
            "overdue_parts": 0,
            "overdue_rows": 0,
        }
    ],
    "volumes": {"cold": {"rows": 48211004, "bytes": 9731204113}},
}
