"""Encode the end of a page as an opaque cursor, and validate cursors of clients."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, TypeVar

import msgspec
from pydantic import Field

from query_api.errors import BadRequestError

LENGTH_MAX: Final = 40_000
"""The keys of a row can be long, such as members of metadata."""
CursorText = Annotated[str, Field(min_length=1, max_length=LENGTH_MAX)]
"""A cursor of a request. An id of 1,000 characters can need 8,000 in a cursor."""

Cursor = TypeVar("Cursor", bound=msgspec.Struct)


def encode(cursor: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def decode(text: str, kind: type[Cursor]) -> Cursor:
    """Decode a cursor that ``encode`` returned.

    Raises:
        BadRequestError: The text is not a cursor of this kind.
    """
    padded = text[:LENGTH_MAX].replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadRequestError("cursor: not a cursor of this endpoint", field="cursor") from error
