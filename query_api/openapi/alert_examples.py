"""Define examples of alerts, acknowledgements and silences for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
_EPISODE_ID: Final = "9b1f0c6e5d2a47e8b3c4d5e6f7a8b9c0"
_RULE_ID: Final = "rule_5d0c1f6e9a7b4d2e8f3a6b1c"

ACKNOWLEDGEMENT_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "author": "ada",
    "note": "The provider has an incident.",
}
ACKNOWLEDGEMENT_EXAMPLE: Final[dict[str, Any]] = ACKNOWLEDGEMENT_REQUEST_EXAMPLE | {
    "episode_id": _EPISODE_ID,
    "rule_id": _RULE_ID,
    "created_at": "2026-11-21T12:03:41.220Z",
}
_FIRING: Final[dict[str, Any]] = {
    "id": "c2b6a1f09d3e4a57",
    "type": "alert.firing",
    "rule_id": _RULE_ID,
    "rule_name": "Slow first token",
    "rule_version": 1,
    "episode_id": _EPISODE_ID,
    "state": "firing",
    "severity": "critical",
    "labels": {"team": "search"},
    "group": {"model": "gpt-4o"},
    "metric": "p95_ttft",
    "comparison": ">",
    "value": 3.1,
    "threshold": 2.5,
    "unit": "s",
    "window_start": "2026-11-21T11:57:00.000Z",
    "window_end": "2026-11-21T12:02:00.000Z",
    "exemplars": [_TRACE_ID],
    "incomplete": False,
    "annotations": {"summary": "gpt-4o: p95 TTFT is 3.10 s"},
    "reason": "Time to first token (p95) is 3.1 s in 5 min, above 2.5 s",
    "delivered": True,
    "not_delivered_reason": None,
    "test": False,
    "created_at": "2026-11-21T12:02:00.310Z",
}
EPISODE_EXAMPLE: Final[dict[str, Any]] = {
    "episode_id": _EPISODE_ID,
    "rule_id": _RULE_ID,
    "rule_name": "Slow first token",
    "state": "firing",
    "current": {
        "episode_id": _EPISODE_ID,
        "rule_id": _RULE_ID,
        "rule_name": "Slow first token",
        "id": _EPISODE_ID,
        "type": "alert.firing",
        "annotations": {"summary": "gpt-4o: p95 TTFT is 3.40 s"},
        "delivered": True,
        "not_delivered_reason": None,
        "test": False,
        "created_at": "2026-11-21T12:02:00.000Z",
        "rule_version": 1,
        "state": "firing",
        "severity": "critical",
        "labels": {"team": "search"},
        "group": {"model": "gpt-4o"},
        "metric": "p95_ttft",
        "comparison": ">",
        "value": 3.4,
        "threshold": 2.5,
        "unit": "s",
        "window_start": "2026-11-21T11:58:40.000Z",
        "window_end": "2026-11-21T12:03:40.000Z",
        "since": "2026-11-21T12:02:00.000Z",
        "started_at": "2026-11-21T12:01:00.000Z",
        "exemplars": [_TRACE_ID],
        "exemplar_urls": [f"/v1/traces/{_TRACE_ID}/tree"],
        "silenced": False,
        "suppressed_by": None,
        "acknowledged_by": "ada",
        "incomplete": False,
        "complete_since": None,
        "reason": "Time to first token (p95) is 3.1 s in 5 min, above 2.5 s",
        "updated_at": "2026-11-21T12:03:41.502Z",
    },
    "acknowledgement": ACKNOWLEDGEMENT_EXAMPLE,
    "exemplars": [_TRACE_ID],
    "exemplar_urls": [f"/v1/traces/{_TRACE_ID}/tree"],
    "history": [_FIRING],
    "truncated": False,
}
SILENCE_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "matchers": [{"name": "team", "op": "=", "value": "search"}],
    "author": "ada",
    "reason": "Load test",
    "duration": "2h",
}
SILENCE_EXAMPLE: Final[dict[str, Any]] = {
    "matchers": SILENCE_REQUEST_EXAMPLE["matchers"],
    "author": "ada",
    "reason": "Load test",
    "id": "sil_0b7c41e5a9d84f3c92e6d1aa",
    "state": "active",
    "starts_at": "2026-11-21T12:00:00.000Z",
    "ends_at": "2026-11-21T14:00:00.000Z",
    "recurring": None,
    "created_at": "2026-11-21T12:00:00.000Z",
}
