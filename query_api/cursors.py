"""Cursors: where a page ended, opaque to clients, checked when they come back."""

from __future__ import annotations

import base64
import binascii
from typing import Final, TypeVar

import msgspec

from query_api.errors import BadRequestError

LENGTH_MAX: Final = 4_000

Cursor = TypeVar("Cursor", bound=msgspec.Struct)


def written(cursor: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def read(text: str, kind: type[Cursor]) -> Cursor:
    """What ``written`` was given.

    Raises:
        BadRequestError: it is something else.
    """
    padded = text[:LENGTH_MAX].replace("+", "-").replace("/", "_") + "=" * (-len(text) % 4)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadRequestError("cursor: not one of ours", field="cursor") from error
