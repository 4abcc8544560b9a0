"""Sign the URLs of the content of media, which need no other credential."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from producers.errors import ForbiddenError

PREFIX: Final = "/api/public/media-content/"


class Grant(msgspec.Struct, frozen=True):
    """What a URL permits: to write or to read a file until a time."""

    method: str
    project_id: str
    media_id: str
    content_type: str
    length: int
    sha256: str
    """Base64."""
    expires_s: int


_FIELDS: Final = tuple(
    name for name in Grant.__struct_fields__ if name not in ("project_id", "media_id")
)


def signed_path(grant: Grant, key: bytes) -> str:
    """Return path and query of a URL."""
    parameters = {name: getattr(grant, name) for name in _FIELDS}
    query = urlencode({**parameters, "signature": _signature(grant, key)})
    return f"{PREFIX}{quote(grant.project_id, safe='')}/{quote(grant.media_id, safe='')}?{query}"


def grant_of(
    project_id: str, media_id: str, parameters: dict[str, str], key: bytes, now_s: float
) -> Grant:
    """Return what a URL permits.

    Raises:
        ForbiddenError: it was not signed, or has expired.
    """
    fields = {name: parameters.get(name, "") for name in _FIELDS}
    try:
        grant = msgspec.convert(
            {**fields, "project_id": project_id, "media_id": media_id}, Grant, strict=False
        )
    except msgspec.ValidationError as error:
        raise ForbiddenError("the URL is not signed") from error
    given = parameters.get("signature", "").encode(errors="replace")
    if not hmac.compare_digest(_signature(grant, key).encode(), given):
        raise ForbiddenError("the URL is not signed")
    if grant.expires_s < now_s:
        raise ForbiddenError("the URL has expired")
    return grant


def _signature(grant: Grant, key: bytes) -> str:
    return hmac.new(key, msgspec.json.encode(grant), hashlib.sha256).hexdigest()
