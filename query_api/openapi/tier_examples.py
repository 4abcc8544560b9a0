"""Define examples of ``/v1/tiers`` for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

TIER_EXAMPLE: Final[dict[str, Any]] = {"user_id": "user-17", "tier": "pro"}
TIER_REQUEST_EXAMPLE: Final[dict[str, Any]] = {"tier": "pro"}
TIERS_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [{"user_id": "user-17", "tier": "pro"}, {"user_id": "user-18", "tier": "free"}]
}
TIERS_WRITTEN_EXAMPLE: Final[dict[str, Any]] = {"written": 2}
