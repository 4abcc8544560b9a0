"""Define examples of prompts for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

CREATE_PROMPT_EXAMPLE: Final[dict[str, Any]] = {
    "name": "support/answer",
    "type": "text",
    "prompt": "Answer in {{language}}: {{question}}",
    "labels": ["production"],
    "tags": ["support"],
    "config": {"model": "gpt-4o-mini", "temperature": 0.2},
    "commitMessage": "Ask for the language",
}
LABELS_EXAMPLE: Final[dict[str, Any]] = {"newLabels": ["production", "staging"]}
PROMPT_EXAMPLE: Final[dict[str, Any]] = {
    "id": "pv_5c1d0e8f7a6b4c3d.1",
    "name": "support/answer",
    "version": 1,
    "type": "text",
    "prompt": "Answer in {{language}}: {{question}}",
    "config": {"model": "gpt-4o-mini", "temperature": 0.2},
    "labels": ["production", "latest"],
    "tags": ["support"],
    "commitMessage": "Ask for the language",
    "resolutionGraph": None,
    "isActive": True,
    "projectId": "support-chat",
    "createdBy": "pk-tm-8d1c0f6e5b4a39281706f5e4",
    "createdAt": "2026-11-21T11:58:12.604Z",
    "updatedAt": "2026-11-21T11:58:12.604Z",
}
_META: Final = {"page": 1, "limit": 10, "totalItems": 1, "totalPages": 1}
PROMPT_LIST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "name": "support/answer",
            "type": "text",
            "versions": [1, 2],
            "labels": ["production", "latest"],
            "tags": ["support"],
            "lastUpdatedAt": "2026-11-21T11:58:12.604Z",
            "lastConfig": {"model": "gpt-4o-mini", "temperature": 0.2},
        }
    ],
    "meta": _META,
    "pagination": _META,
}
PROTECTED_LABELS_EXAMPLE: Final[dict[str, Any]] = {"labels": ["production"]}
PROMPT_SPLIT_REQUEST_EXAMPLE: Final[dict[str, Any]] = {"weights": {"production": 90, "staging": 10}}
PROMPT_SPLIT_EXAMPLE: Final[dict[str, Any]] = {
    "name": "support/answer",
    "shares": {"production": 0.9, "staging": 0.1},
}
ASSIGNMENT_EXAMPLE: Final[dict[str, Any]] = {
    "name": "support/answer",
    "key": "user-17",
    "label": "staging",
    "version": 2,
    "id": "pv_5c1d0e8f7a6b4c3d.2",
    "metadata": {"prompt_label.support/answer": "staging"},
}
_ARM: Final[dict[str, Any]] = {
    "label": "production",
    "version": 1,
    "calls": 1200,
    "errors": 12,
    "error_rate": 0.01,
    "cost_usd": {
        "mean": "0.00036", "ci95": ["0.00034", "0.00038"], "total": "0.432", "count": 1200,
    },
    "latency_ms": {
        "mean": 812.5, "ci95": [790.1, 834.9], "p50": 700.0, "p95": 1900.0, "p99": 2900.0,
        "count": 1200,
    },
    "tokens": {"input": 240000, "output": 96000, "input_mean": 200.0, "output_mean": 80.0},
    "scores": {
        "helpful": {"data_type": "BOOLEAN", "mean": 0.8, "count": 300, "ci95": [0.75, 0.85]}
    },
}  # fmt: skip
COMPARISON_EXAMPLE: Final[dict[str, Any]] = {
    "data": [_ARM, _ARM | {"label": "staging", "version": 2}],
    "tests": [
        {
            "metric": "latency_ms",
            "test": "welch_t",
            "a": {"label": "production", "version": 1, "count": 1200},
            "b": {"label": "staging", "version": 2, "count": 130},
            "difference": -25.5,
            "ci95": [-80.2, 29.2],
            "statistic": -0.91,
            "df": 161.2,
            "p_value": 0.36,
            "sequential": {"method": "msprt", "p_value": 1.0, "adjusted_p_value": 1.0},
            "significant": False,
        }
    ],
    "meta": {"from": "2026-08-23T12:00:00.000Z", "to": "2026-11-21T12:00:00.000Z"},
}
