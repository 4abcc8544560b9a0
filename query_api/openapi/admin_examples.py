"""Define examples of projects, keys and limits for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

PROJECT_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "id": "support-chat",
    "name": "Support chat",
    "metadata": {"team": "support"},
}
PROJECT_EXAMPLE: Final = PROJECT_REQUEST_EXAMPLE | {
    "state": "active",
    "created_at": "2026-11-21T11:58:12.604Z",
    "deleting_since": None,
    "deleted_at": None,
}
PROJECT_CHANGE_EXAMPLE: Final[dict[str, Any]] = {"name": "Support chat, EU"}
PROJECT_DELETING_EXAMPLE: Final = PROJECT_EXAMPLE | {
    "state": "deleting",
    "deleting_since": "2026-11-28T08:00:00.000Z",
}
PROJECT_STATUS_EXAMPLE: Final = PROJECT_DELETING_EXAMPLE | {
    "rows_left": {"observations": 1_204, "traces": 0},
}
LIMITS_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "events_per_s": 2_000,
    "bytes_per_s": 0,
    "quota_period": "month",
    "quota_events": 50_000_000,
}
LIMITS_EXAMPLE: Final[dict[str, Any]] = {
    "own": {
        "events_per_s": 2_000.0,
        "bytes_per_s": 0.0,
        "burst_s": None,
        "quota_period": "month",
        "quota_events": 50_000_000,
        "quota_bytes": None,
    },
    "in_force": {
        "events_per_s": 2_000.0,
        "bytes_per_s": 0.0,
        "burst_s": 10.0,
        "quota_period": "month",
        "quota_events": 50_000_000,
        "quota_bytes": 0,
    },
    "used": {
        "events": 1_204,
        "bytes": 1_048_576,
        "period_ends_at": "2026-12-01T00:00:00.000Z",
    },
}
KEY_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "scopes": ["ingest", "scores"],
    "expires_at": "2126-11-21T00:00:00Z",
    "note": "staging",
}
KEY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "key_5c1d0e8f7a6b4c3d2e1f0a9b",
    "public_key": "pk-tm-8d1c0f6e5b4a39281706f5e4",
    "hint": "sk-tm-…x7Qw",
    "scopes": ["ingest", "scores"],
    "note": "staging",
    "created_at": "2026-11-21T11:58:12.604Z",
    "expires_at": "2126-11-21T00:00:00.000Z",
    "last_used_at": None,
    "previous_secret_valid_until": None,
}
KEY_CREATED_EXAMPLE: Final = KEY_EXAMPLE | {"secret_key": "sk-tm-…"}
KEY_ROTATION_EXAMPLE: Final[dict[str, Any]] = {"overlap_s": 3600}
