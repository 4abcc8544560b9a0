"""Examples of score configs for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

SCORE_CONFIG_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "correctness",
    "dataType": "CATEGORICAL",
    "categories": [{"label": "correct", "value": 1}, {"label": "wrong", "value": 0}],
    "description": "Whether the answer is right.",
}
SCORE_CONFIG_CHANGE_EXAMPLE: Final[dict[str, Any]] = {"isArchived": True}
SCORE_CONFIG_EXAMPLE: Final[dict[str, Any]] = {
    "id": "sco_5c1d0e8f7a6b4c3d2e1f0a9b",
    "name": "correctness",
    "createdAt": "2026-11-21T11:58:12.604Z",
    "updatedAt": "2026-11-21T11:58:12.604Z",
    "projectId": "support-chat",
    "dataType": "CATEGORICAL",
    "isArchived": False,
    "minValue": None,
    "maxValue": None,
    "categories": [{"label": "correct", "value": 1.0}, {"label": "wrong", "value": 0.0}],
    "description": "Whether the answer is right.",
}
SCORE_CONFIG_LIST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [SCORE_CONFIG_EXAMPLE],
    "meta": {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1},
}
