"""Examples of datasets, items, runs and comments in the API's description."""

from __future__ import annotations

from typing import Any, Final

_CREATED: Final = "2026-11-21T12:00:00.000Z"
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"

DATASET_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "name": "support/billing",
    "description": "Questions about invoices.",
    "metadata": {"owner": "ada"},
    "inputSchema": {"type": "object", "required": ["question"]},
}
DATASET_EXAMPLE: Final[dict[str, Any]] = {
    "id": "9f2a0f7d56565892419c7119",
    "projectId": "acme",
    "name": "support/billing",
    "description": "Questions about invoices.",
    "metadata": {"owner": "ada"},
    "inputSchema": {"type": "object", "required": ["question"]},
    "expectedOutputSchema": None,
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
}
ITEM_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "datasetName": "support/billing",
    "id": "invoice-location",
    "input": {"question": "Where is my invoice?"},
    "expectedOutput": "Under Billing.",
}
ITEM_EXAMPLE: Final[dict[str, Any]] = {
    "id": "invoice-location",
    "status": "ACTIVE",
    "input": {"question": "Where is my invoice?"},
    "expectedOutput": "Under Billing.",
    "metadata": None,
    "sourceTraceId": None,
    "sourceObservationId": None,
    "datasetId": DATASET_EXAMPLE["id"],
    "datasetName": "support/billing",
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
    "mediaReferences": [],
}
RUN_ITEM_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "runName": "gpt-4o-mini",
    "datasetItemId": "invoice-location",
    "traceId": _TRACE,
}
RUN_ITEM_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f",
    "datasetRunId": "5f0c8a1e9d3b4c72",
    "datasetRunName": "gpt-4o-mini",
    "datasetItemId": "invoice-location",
    "traceId": _TRACE,
    "observationId": None,
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
}
RUN_EXAMPLE: Final[dict[str, Any]] = {
    "id": "5f0c8a1e9d3b4c72",
    "name": "gpt-4o-mini",
    "description": None,
    "metadata": {},
    "datasetId": DATASET_EXAMPLE["id"],
    "datasetName": "support/billing",
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
}
ONE_PAGE: Final = {"page": 1, "limit": 50, "totalItems": 1, "totalPages": 1}
COMMENT_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "objectType": "TRACE",
    "objectId": _TRACE,
    "content": "The answer is outdated.",
    "authorUserId": "ada",
}
COMMENT_EXAMPLE: Final[dict[str, Any]] = {
    "id": "8d2c4a6b8e0f1a3c5d7e9f1b",
    "projectId": "acme",
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
    **COMMENT_REQUEST_EXAMPLE,
}
