"""Convert stored texts to JSON values."""

from __future__ import annotations

from typing import Final

import msgspec

_raw: Final = msgspec.json.Decoder(msgspec.Raw)
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

Shown = msgspec.Raw | str | None


def shown(text: str) -> Shown:
    r"""Return JSON as its raw value, other texts as a string, and ``None`` for an empty text.

    An object ``{"a": 1}`` and a string ``"{\"a\": 1}"`` of a client are stored as the same text.
    Both are returned as the object, like in Langfuse.
    """
    if not text:
        return None
    try:
        return _raw.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def members(text: str) -> dict[str, msgspec.Raw]:
    """Return the members of a JSON object; another value becomes the member ``metadata``."""
    if not text:
        return {}
    try:
        return _object.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        value = shown(text)
        raw = value if isinstance(value, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(text))
        return {"metadata": raw}
