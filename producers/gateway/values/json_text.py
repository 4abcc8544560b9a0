"""Check JSON texts of clients and convert values to text fields of the event contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from producers import metrics
from producers.errors import BodyError
from producers.gateway.values.huge_numbers import quote_huge_numbers
from producers.gateway.values.json_size import DEPTH_MAX, check_item, decode_json, is_deeper

QUOTED_CHARS_MAX: Final = 64
EMPTY_VALUES: Final = frozenset({b"", b"null", b'""'})

_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_BETWEEN_PAIRS: Final = re.compile(rb'"|\\u(?![dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u')
_REPLACEMENT: Final = rb"\\ufffd"
_PIECE_BYTES: Final = 1024 * 1024
_BACKSLASH: Final = rb"\\"
_BACKSLASH_HIDDEN: Final = b"\0\0"

_decode_text = msgspec.json.Decoder(str).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def check_utf8(text: bytes, what: str) -> None:
    """Refuse a text that is not UTF-8.

    Raises:
        BodyError: the message begins with ``what``.
    """
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            message = f"{what} is not UTF-8: byte {error.start}"
            raise BodyError(message) from error


def is_utf8(text: bytes) -> bool:
    """Return whether a text is UTF-8."""
    try:
        check_utf8(text, "")
    except BodyError:
        return False
    return True


def check_raw(raw: msgspec.Raw) -> None:
    """Refuse an undecoded value that is not UTF-8 or is nested too deep.

    Raises:
        BodyError: the message names the limit, or the first invalid byte.
    """
    text = bytes(raw)
    check_utf8(text, "the body")
    if len(text) > DEPTH_MAX and is_deeper(text, DEPTH_MAX):
        metrics.LIMIT_REACHED.labels(limit="json_depth_max").inc()
        raise BodyError(f"nested deeper than {DEPTH_MAX} levels")


def without_lone_surrogates(body: bytes) -> bytes:
    """Replace escaped lone surrogates, which UTF-8 cannot represent, by U+FFFD.

    JavaScript clients send them when they truncate a text within a surrogate pair.
    """
    has_surrogates = b"\\ud" in body or b"\\uD" in body
    if not has_surrogates or b"\0" in body:  # the parser refuses zero bytes
        return body
    # Hide escaped backslashes, because "ud800" after them is not an escape. A body can have
    # millions of matches, so both replacements are constants and call no function per match.
    hidden = body.replace(_BACKSLASH, _BACKSLASH_HIDDEN)
    replaced = b"".join(_LONE_SURROGATE.sub(_REPLACEMENT, piece) for piece in _pieces(hidden))
    return replaced.replace(_BACKSLASH_HIDDEN, _BACKSLASH)


def _pieces(hidden: bytes) -> Iterator[bytes]:
    """Split a body into pieces of about 1 MiB, but not within surrogate pairs."""
    start = 0
    while start < len(hidden):
        found = _BETWEEN_PAIRS.search(hidden, start + _PIECE_BYTES)
        end = found.start() if found else len(hidden)
        yield hidden[start:end]
        start = end


def contract_text(raw: msgspec.Raw) -> str | None:
    """Return a string itself and any other value as its JSON text; None for null and ``""``."""
    text = bytes(raw)
    if text in EMPTY_VALUES:
        return None
    if text.startswith(b'"'):
        return _decode_text(text)
    return text.decode()


def metadata_of(raw: msgspec.Raw) -> str | None:
    """Return metadata as the JSON text of an object; None for null, ``""`` and ``{}``.

    A value that is not an object becomes the member ``metadata`` of one.
    """
    text = bytes(raw)
    if text in EMPTY_VALUES:
        return None
    if text.startswith(b"{"):
        return quote_huge_numbers(text).decode() if text[1:-1].strip() else None
    value = contract_text(raw)
    return None if value is None else _encode({"metadata": value}).decode()


def members_of(raw: msgspec.Raw, names: Iterable[str]) -> dict[str, Any]:
    """Return these members of an object; empty if it is no object or they are not JSON."""
    try:
        members = _decode_members(raw)
        return {name: decode_json(bytes(members[name])) for name in names if name in members}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def is_truthy_member(raw: msgspec.Raw, names: Iterable[str]) -> bool:
    """Return whether an object has one of these members that is not empty, null, zero or false."""
    try:
        members = _decode_members(raw)
        return any(bool(decode_json(bytes(members[name]))) for name in names if name in members)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def decode_raw(raw: msgspec.Raw, path: str) -> Any:
    """Decode a value at ``path`` of a body; return None if it is missing.

    Raises:
        BodyError: it has a number that is out of range, is nested too deep or is too large; the
            message names the member.
    """
    if not bytes(raw):
        return None
    try:
        return decode_json(bytes(raw))
    except msgspec.DecodeError as error:
        described = str(error).partition(" - at ")[0]
        message = f"{path}{_first_bad_key(raw)}: {described}"
        raise BodyError(message) from error


def _first_bad_key(raw: msgspec.Raw) -> str:
    try:
        check_item(bytes(raw))
        members = _decode_members(raw)
    except msgspec.DecodeError:
        return ""
    for key, value in members.items():
        try:
            decode_json(bytes(value))
        except msgspec.DecodeError:
            return f".{key[:QUOTED_CHARS_MAX]}"
    return ""
