"""Examples of media for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_ID: Final = "LPJNul-wow4m6DsqxbninhsWHlwfp0Je"[:22]
_URL: Final = f"http://127.0.0.1:7700/api/public/media-content/default/{_ID}?method="
MEDIA_REQUEST_EXAMPLE: Final[dict[str, Any]] = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "contentType": "image/png",
    "contentLength": 5,
    "sha256Hash": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
    "field": "input",
}
UPLOAD_EXAMPLE: Final[dict[str, Any]] = {"mediaId": _ID, "uploadUrl": f"{_URL}PUT"}
MEDIA_CHANGE_EXAMPLE: Final[dict[str, Any]] = {
    "uploadedAt": "2026-11-21T12:00:05.000Z",
    "uploadHttpStatus": 200,
    "uploadTimeMs": 12,
}
MEDIA_EXAMPLE: Final[dict[str, Any]] = {
    "mediaId": _ID,
    "contentType": "image/png",
    "contentLength": 5,
    "uploadedAt": "2026-11-21T12:00:05.000Z",
    "url": f"{_URL}GET",
    "urlExpiry": "2026-11-21T13:00:05Z",
}
