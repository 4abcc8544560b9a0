"""List what Langfuse's SDKs can call and tracemill does not serve."""

from __future__ import annotations

import re
from typing import Final

_GROUPS: Final = (
    ("annotation-queues", "annotation queues", "scores are created by POST /api/public/scores"),
    ("feedback", "feedback about Langfuse", ""),
    (
        "integrations/blob-storage",
        "scheduled exports to blob storage",
        "rows of a range are read from GET /v1/export/traces and /v1/export/observations",
    ),
    ("llm-connections", "connections to models", ""),
    ("organizations", "organizations", "projects and keys are managed below /v1/admin"),
    ("projects/[^/]+/memberships", "members of projects", "keys are managed below /v1/admin"),
    ("scim", "SCIM", "keys are managed below /v1/admin"),
    (
        "unstable/dashboards",
        "Langfuse's dashboards",
        "measures are read from POST /v1/query",
    ),
    (
        "unstable/dashboard-widgets",
        "Langfuse's dashboards",
        "measures are read from POST /v1/query",
    ),
    ("unstable/skills", "skills", ""),
    ("(?:v2|unstable)/evaluators", "evaluators", "scores are created by POST /api/public/scores"),
    (
        "(?:v2|unstable)/evaluation-rules",
        "evaluation rules",
        "scores are created by POST /api/public/scores",
    ),
)
"""For each group of paths: a pattern, what it is, and what there is instead."""
_PATTERNS: Final = tuple(
    (re.compile(rf"/api/public/{pattern}(?:/|$)"), what, instead)
    for pattern, what, instead in _GROUPS
)


def not_served(path: str) -> str:
    """Return what is not served at a path of the Langfuse API; empty: the path is unknown."""
    for pattern, what, instead in _PATTERNS:
        if pattern.match(path):
            return f"tracemill does not serve {what}{f'; {instead}' if instead else ''}"
    return ""
