"""Define examples of ``/v1/channels`` and ``/v1/routes`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

CHANNEL_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "type": "slack",
    "name": "on-call",
    "url": "https://hooks.slack.com/services/T000/B000/XXXX",
}
CHANNEL_EXAMPLE: Final[dict[str, Any]] = {
    "id": "ch_0f4b9c27d1a84e6f9b35c0de",
    "type": "slack",
    "name": "on-call",
    "settings": {"url": "…"},
    "events": [],
    "send_resolved": True,
    "title_template": "",
    "text_template": "",
    "rate_per_minute": 60,
    "disabled": False,
    "created_at": "2026-11-21T11:57:40.113Z",
}
PREVIEW_EXAMPLE: Final[dict[str, Any]] = {
    "title": "[FIRING] p95 latency of answers",
    "text": (
        "p95 latency of answers (critical): firing: Latency (p95) is 7.2 s in 1 min, "
        "above 5 s, model=gpt-4o, team=support"
    ),
    "url": "…",
    "body": {"text": "[FIRING] p95 latency of answers"},
}
CHANNEL_TEST_EXAMPLE: Final = {
    "request_id": "drq_51b0ddfc8e0a4c6f9d27a1b3",
    "delivery_id": "drq_51b0ddfc8e0a4c6f9d27a1b3~ch_0f4b9c27d1a84e6f9b35c0de",
}
ROUTE_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "critical alerts of production",
    "severities": ["critical"],
    "labels": {"environment": ["production"]},
    "channel_ids": [CHANNEL_EXAMPLE["id"]],
}
ROUTE_EXAMPLE: Final[dict[str, Any]] = ROUTE_REQUEST_EXAMPLE | {
    "id": "rt_8d3e5f70b2c64a19a7f1e2b4",
    "events": [],
    "rule_ids": [],
    "group_by": ["rule_id"],
    "group_wait_s": 10.0,
    "group_interval_s": 300.0,
    "warnings": [],
    "repeat_interval_s": 14400.0,
    "disabled": False,
    "created_at": "2026-11-21T11:58:02.640Z",
}
