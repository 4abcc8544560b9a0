"""Convert versions of control records to ``ETag``, and ``If-Match`` to versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header
from starlette.responses import Response

from query_api.errors import BadRequestError

IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=100)]


def with_etag(response: Response, version: int | None) -> None:
    """Set the ``ETag`` of a record's version."""
    if version is not None:
        response.headers["ETag"] = f'"{version}"'


def version_in(if_match: str | None) -> int | None:
    """Return the version that ``If-Match`` requires; None if any.

    Raises:
        BadRequestError: it is not an ``ETag`` of this API.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise BadRequestError("If-Match: must be the ETag of an earlier answer", field="If-Match")
    return int(text)
