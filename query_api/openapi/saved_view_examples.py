"""Examples of saved views in the API's description."""

from __future__ import annotations

from typing import Any, Final

SAVED_VIEW_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "page": "traces",
    "name": "Expensive errors",
    "query": "q=level%3Aerror+cost%3E0.1&range=24h",
}
SAVED_VIEW_EXAMPLE: Final[dict[str, Any]] = {
    "id": "5b1c6a0e4f2d9c8371a6e0b4",
    **SAVED_VIEW_REQUEST_EXAMPLE,
    "author": "pk-tm-4f2d9c8371a6",
    "created_at": "2026-11-21T12:00:00.000Z",
    "updated_at": "2026-11-21T12:00:00.000Z",
}
