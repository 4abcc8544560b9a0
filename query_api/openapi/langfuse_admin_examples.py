"""Examples of Langfuse's routes for projects and API keys for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

PROJECT_EXAMPLE: Final[dict[str, Any]] = {
    "id": "prj_5c1d0e8f7a6b4c3d2e1f0a9b",
    "name": "Support chat, staging",
    "organization": {
        "id": "prj_5c1d0e8f7a6b4c3d2e1f0a9b",
        "name": "Support chat, staging",
    },
    "metadata": {"team": "support"},
    "retentionDays": None,
}
PROJECT_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "Support chat, staging",
    "metadata": {"team": "support"},
    "retention": 0,
}
PROJECT_DELETION_EXAMPLE: Final = {"success": True, "message": "the project is being deleted"}
API_KEY_REQUEST_EXAMPLE: Final[dict[str, Any]] = {"note": "staging"}
API_KEY_EXAMPLE: Final[dict[str, Any]] = {
    "id": "key_5c1d0e8f7a6b4c3d2e1f0a9b",
    "createdAt": "2026-11-21T11:58:12.604Z",
    "expiresAt": None,
    "lastUsedAt": None,
    "note": "staging",
    "publicKey": "pk-tm-8d1c0f6e5b4a39281706f5e4",
    "displaySecretKey": "sk-tm-…x7Qw",
}
API_KEY_CREATED_EXAMPLE: Final[dict[str, Any]] = {
    "id": "key_5c1d0e8f7a6b4c3d2e1f0a9b",
    "createdAt": "2026-11-21T11:58:12.604Z",
    "publicKey": "pk-tm-8d1c0f6e5b4a39281706f5e4",
    "secretKey": "sk-tm-…",
    "displaySecretKey": "sk-tm-…x7Qw",
    "note": "staging",
}
