"""Examples of experiments that spans record, in the API's description."""

from __future__ import annotations

from typing import Any, Final

_START: Final = "2026-11-21T12:00:00.000Z"
_END: Final = "2026-11-21T12:00:02.500Z"
_ID: Final = "5f0c8a1e9d3b4c72"

EXPERIMENT_LIST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "id": _ID,
            "name": "gpt-4o-mini",
            "description": None,
            "startTime": _START,
            "endTime": _END,
            "itemCount": 20,
            "datasetId": "9f2a0f7d56565892419c7119",
        }
    ],
    "meta": {},
}
ITEM_LIST_EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "id": "00f067aa0ba902b7",
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "startTime": _START,
            "endTime": _END,
            "level": "DEFAULT",
            "environment": "sdk-experiment",
            "experimentId": _ID,
            "experimentName": "gpt-4o-mini",
            "experimentItemId": "invoice-location",
            "experimentDatasetId": "9f2a0f7d56565892419c7119",
            "experimentItemVersion": None,
        }
    ],
    "meta": {},
}
