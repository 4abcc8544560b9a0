"""Convert stored texts to JSON values, as the Langfuse API returns them."""

from __future__ import annotations

from typing import Final

import msgspec

_raw: Final = msgspec.json.Decoder(msgspec.Raw)
_text: Final = msgspec.json.Decoder(str)
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_FAILURES: Final = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)
_NUMBER_START: Final = frozenset("-0123456789")
_VALUE_START: Final = _NUMBER_START | frozenset("tfn{[")
EXPERIMENT: Final = "langfuse.experiment."
"""Prefix of attributes that describe the experiment of an observation, and are no metadata."""

Shown = msgspec.Raw | str | None


def shown(text: str) -> Shown:
    r"""Return JSON as its raw value, other texts as a string, and ``None`` for an empty text.

    An object ``{"a": 1}`` and a string ``"{\"a\": 1}"`` of a client are stored as the same text, as
    are a number and its digits. Both are returned as the object, and as the string of digits, as
    in Langfuse.
    """
    if not text:
        return None
    if text[0] in _NUMBER_START:
        return text
    try:
        return _raw.decode(text)
    except _FAILURES:
        return text


def members(text: str) -> dict[str, msgspec.Raw]:
    """Return the members of a metadata object; another value becomes the member ``metadata``.

    A string that is the JSON of another type is returned as that value: SDKs encode values that are
    not strings as JSON, and Langfuse decodes all of them.
    """
    if not text:
        return {}
    try:
        found = _object.decode(text)
    except _FAILURES:
        try:
            raw = _raw.decode(text)
        except _FAILURES:
            raw = msgspec.Raw(msgspec.json.encode(text))
        return {"metadata": _unquoted(raw)}
    return {key: _unquoted(value) for key, value in found.items() if not key.startswith(EXPERIMENT)}


def parameters(text: str, *, as_sent: bool = False) -> Shown | dict[str, msgspec.Raw]:
    """Return model parameters: numbers and strings as they are, other values as their JSON text.

    The text has no spaces, as in Langfuse. With ``as_sent``, other values are unchanged as well.
    """
    try:
        found = _object.decode(text)
    except _FAILURES:
        return shown(text)
    if as_sent:
        return found
    return {key: _parameter(value) for key, value in found.items()}


def parameter_texts(text: str) -> Shown | dict[str, msgspec.Raw]:
    """Return model parameters as JavaScript shows them as texts: ``512``, and ``a,b`` of a list."""
    try:
        found = _object.decode(text)
    except _FAILURES:
        return shown(text)
    return {key: msgspec.Raw(msgspec.json.encode(_text_of(value))) for key, value in found.items()}


def _text_of(value: msgspec.Raw) -> str:
    raw = bytes(value)
    if raw[:1] == b'"':
        return _text.decode(value)
    if raw[:1] == b"[":
        return ",".join(map(_text_of, _list.decode(value)))
    return msgspec.json.format(raw, indent=-1).decode().removesuffix(".0")


def _parameter(value: msgspec.Raw) -> msgspec.Raw:
    text = bytes(value)
    if text[:1] in b'"-0123456789' or text == b"null":
        return value
    compact = msgspec.json.format(text, indent=-1)
    return msgspec.Raw(msgspec.json.encode(compact.decode()))


def _unquoted(value: msgspec.Raw) -> msgspec.Raw:
    """Return the JSON value that a JSON string contains; other values unchanged."""
    if bytes(value)[:1] != b'"':
        return value
    try:
        text = _text.decode(value)
        if text[:1] not in _VALUE_START:
            return value
        return _raw.decode(text)
    except _FAILURES:
        return value
