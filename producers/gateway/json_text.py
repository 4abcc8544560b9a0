"""JSON of strangers: mended where JavaScript clients cut an emoji in two, and kept as text where the contract wants text."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from producers.errors import BodyError

KEY_CHARS_TOLD: Final = 64
NOTHING: Final = frozenset({b"", b"null", b'""'})

_LONE_HALF: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_REPLACEMENT: Final = rb"\\ufffd"
_BACKSLASH: Final = rb"\\"
_BACKSLASH_HIDDEN: Final = b"\0\0"

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def sound_json(body: bytes) -> bytes:
    """``body`` with halves of surrogate pairs, which no UTF-8 text can hold, replaced by U+FFFD.

    Raises:
        BodyError: it is not UTF-8.
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            message = f"the body is not UTF-8: byte {error.start}"
            raise BodyError(message) from error
    has_halves = b"\\ud" in body or b"\\uD" in body
    if not has_halves or b"\0" in body:  # no JSON has a zero byte: its parser says so
        return body
    # A backslash that is itself escaped begins no escape. Nothing is called for each match: there may be millions.
    hidden = body.replace(_BACKSLASH, _BACKSLASH_HIDDEN)
    return _LONE_HALF.sub(_REPLACEMENT, hidden).replace(_BACKSLASH_HIDDEN, _BACKSLASH)


def text_of(raw: msgspec.Raw) -> str | None:
    """A value as the contract keeps texts: a string as it is, anything else as its JSON text; none for null and the empty string."""
    text = bytes(raw)
    if text in NOTHING:
        return None
    if text.startswith(b'"'):
        return str(_decode_any(text))
    return text.decode()


def metadata_of(raw: msgspec.Raw) -> str | None:
    """Metadata as the JSON text of an object: anything else becomes the value of its key ``metadata``; none for null and ``{}``."""
    text = bytes(raw)
    if text in NOTHING:
        return None
    if text.startswith(b"{"):
        return text.decode() if text[1:-1].strip() else None
    value = text_of(raw)
    return None if value is None else _encode({"metadata": value}).decode()


def any_of(raw: msgspec.Raw, place: str = "") -> Any:
    """The value itself; none if there is none.

    Raises:
        BodyError: a number in it is one that no number type holds; named by its place, within ``place``.
    """
    if not bytes(raw):
        return None
    try:
        return _decode_any(raw)
    except msgspec.DecodeError as error:
        described = str(error).partition(" - at ")[0]
        message = f"{place}{_first_bad_key(raw)}: {described}"
        raise BodyError(message) from error


def _first_bad_key(raw: msgspec.Raw) -> str:
    try:
        members = _decode_members(raw)
    except msgspec.DecodeError:
        return ""
    for key, value in members.items():
        try:
            _decode_any(value)
        except msgspec.DecodeError:
            return f".{key[:KEY_CHARS_TOLD]}"
    return ""
