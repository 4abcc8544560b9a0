"""Define examples of ``/v1/alert-rules`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

RULE_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "Slow first token",
    "metric": "p95_ttft",
    "filter": {"environment": ["production"]},
    "group_by": ["model"],
    "comparison": ">",
    "threshold": 2.5,
    "window": "5m",
    "for": "1m",
    "severity": "critical",
    "labels": {"team": "search"},
    "annotations": {"summary": "{{ group.model }}: p95 TTFT is {{ value|round(2) }} s"},
}
RULE_EXAMPLE: Final[dict[str, Any]] = RULE_REQUEST_EXAMPLE | {
    "id": "rule_5d0c1f6e9a7b4d2e8f3a6b1c",
    "description": "",
    "enabled": True,
    "shadow": False,
    "recovery_threshold": None,
    "time_zone": "UTC",
    "min_count": 0,
    "keep_firing_for": "0s",
    "renotify_interval": "0s",
    "no_data": "ok",
    "inhibited_by": [],
    "compare_with": None,
    "anomaly": None,
    "unit": "s",
    "version": 1,
    "author": "pk-lf-6c3e1f0a",
    "created_at": "2026-11-21T11:58:12.604Z",
    "updated_at": "2026-11-21T11:58:12.604Z",
    "fault": None,
}
METRICS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "name": "p95_ttft",
            "description": "Percentile 95 of the time to the first token.",
            "unit": "s",
            "dimensions": ["model", "environment", "name"],
            "filters": [],
            "only_grows": False,
        }
    ]
}
VERSIONS_EXAMPLE: Final[dict[str, Any]] = {
    "data": [{"version": 1, "stored_at": "2026-11-21T11:58:12.612Z", "rule": RULE_EXAMPLE}]
}
PREVIEW_EXAMPLE: Final[dict[str, Any]] = {"annotations": {"summary": "sample: p95 TTFT is 2.50 s"}}
TEST_FIRE_REQUEST_EXAMPLE: Final[dict[str, Any]] = {"event": "alert.firing", "author": "ada"}
TEST_FIRE_EXAMPLE: Final[dict[str, Any]] = {
    "alert_id": "c2b6a1f09d3e4a57c2b6a1f09d3e4a57",
    "event": "alert.firing",
    "rule_id": RULE_EXAMPLE["id"],
}
BACKTEST_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "rule": {"name": "Slow", "metric": "avg_latency", "threshold": 5, "window": "5m"},
    "from": "2026-11-21T00:00:00Z",
    "to": "2026-11-22T00:00:00Z",
}
BACKTEST_EXAMPLE: Final[dict[str, Any]] = {
    "from": "2026-11-21T00:00:00.000Z",
    "to": "2026-11-22T00:00:00.000Z",
    "resolution_s": 10,
    "episodes": [
        {
            "group": {},
            "fired_at": "2026-11-21T12:02:09.999999Z",
            "resolved_at": "2026-11-21T12:09:39.999999Z",
            "value": 5.4,
            "reason": "Latency (mean) is 5.4 s in 5 min, above 5 s",
        }
    ],
    "alerts": [],
    "series": [{"group": {}, "points": [{"at": "2026-11-21T12:02:10.000Z", "value": 5.4}]}],
    "truncated": False,
}
