"""Texts that may be JSON: stored as the client sent them, shown as what they say."""

from __future__ import annotations

from typing import Final

import msgspec

_raw: Final = msgspec.json.Decoder(msgspec.Raw)
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Shown = msgspec.Raw | str | None


def shown(text: str) -> Shown:
    r"""JSON as its value, without parsing it into objects and back; any other text as a string; nothing as null.

    A client's ``{"a": 1}`` and its ``"{\"a\": 1}"`` are stored alike, and both are shown as the object, which is what the Langfuse API does.
    """
    if not text:
        return None
    try:
        return _raw.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def members(text: str) -> dict[str, msgspec.Raw]:
    """The members of an object's text; of anything else one member ``metadata``, of nothing none."""
    if not text:
        return {}
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = shown(text)
        raw = value if isinstance(value, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(text))
        return {"metadata": raw}
