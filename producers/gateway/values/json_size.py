"""Limit the size and depth of JSON, by counting bytes before it is decoded."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, Final

import msgspec

from producers import metrics
from producers.errors import DecodeInThreadError, TooLargeError

DEPTH_MAX: Final = 400
"""Maximum depth of decoded JSON. It is far below the interpreter's recursion limit, so that the
result does not depend on the thread or the call stack."""
VALUES_MAX: Final = 100_000
"""Maximum number of values of an item (a span, an event, a JSON text in an attribute). Decoding it
takes a few milliseconds."""
_VALUES_OF_ATTRIBUTE: Final = 3
TOO_DEEP: Final = b'"[nested too deep]"'

_STEPS: Final = [0] * 256
_STEPS[ord("[")] = _STEPS[ord("{")] = 1
_STEPS[ord("]")] = _STEPS[ord("}")] = -1
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if not _STEPS[byte])
_STRING_OR_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]++|[\]}]++', re.DOTALL)

_decode = msgspec.json.Decoder().decode


class JsonLimitError(msgspec.DecodeError):
    """The text exceeds ``DEPTH_MAX`` or ``VALUES_MAX``."""


def check_json_values(body: bytes, values_max: int) -> None:
    """Refuse a body of more than about ``values_max`` values.

    Commas and opening brackets are counted: first all of them and, if those are too many, only
    those outside strings. A body that is not JSON may pass; the parser rejects it.

    Raises:
        TooLargeError: it has more values.
    """
    if _has_at_most(body, values_max):
        return
    metrics.LIMIT_REACHED.labels(limit="json_values_max").inc()
    raise TooLargeError(f"more than {values_max} values in one JSON body")


def check_inline(body: bytes, values_max: int | None) -> None:
    """Check that a body is small enough to be decoded on the event loop.

    There is no limit if ``values_max`` is None.

    Raises:
        DecodeInThreadError: it may contain more than ``values_max`` attributes of a few values.
    """
    if values_max is not None and _count_separators(body) > _VALUES_OF_ATTRIBUTE * values_max:
        raise DecodeInThreadError


def check_item(text: str | bytes) -> None:
    """Refuse an item that is nested too deep or has too many values.

    Raises:
        JsonLimitError: the message names the limit.
    """
    if len(text) <= DEPTH_MAX:
        return
    encoded = text.encode(errors="replace") if isinstance(text, str) else text
    if not _has_at_most(encoded, VALUES_MAX):
        metrics.LIMIT_REACHED.labels(limit="item_values_max").inc()
        raise JsonLimitError(f"more than {VALUES_MAX} values")
    if is_deeper(encoded, DEPTH_MAX):
        metrics.LIMIT_REACHED.labels(limit="json_depth_max").inc()
        raise JsonLimitError(f"nested deeper than {DEPTH_MAX} levels")


def decode_json(text: str | bytes) -> Any:
    """Decode a JSON text of limited depth and size.

    Raises:
        msgspec.DecodeError: it is not JSON, or ``check_item`` refuses it.
    """
    check_item(text)
    try:
        return _decode(text)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: byte {error.start}") from error


def is_deeper(text: bytes, depth_max: int) -> bool:
    """Return whether arrays and objects in ``text`` are nested deeper than ``depth_max``."""
    if text.count(b"[") + text.count(b"{") <= depth_max:
        return False
    brackets = _outside_strings(_without_escapes(text)).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > depth_max


def cut_deep(body: bytes, depth_max: int) -> bytes:
    """Replace values nested deeper than ``depth_max`` by ``TOO_DEEP``.

    Invalid JSON stays invalid.
    """
    kept: list[bytes] = []
    depth = kept_to = 0
    for found in _STRING_OR_BRACKETS.finditer(body):
        token = found[0]
        if token[0] in b"[{":
            if depth <= depth_max < depth + len(token):
                begin = found.start() + depth_max - depth
                kept += body[kept_to:begin], TOO_DEEP
                kept_to = len(body)  # changed if a closing bracket follows
            depth += len(token)
        elif token[0] in b"]}":
            if depth > depth_max >= depth - len(token):
                kept_to = found.start() + depth - depth_max
            depth -= len(token)
            if depth < 0:
                break
    kept.append(body[kept_to:])
    return b"".join(kept)


def _has_at_most(body: bytes, values_max: int) -> bool:
    if len(body) <= values_max or _count_separators(body) <= values_max:
        return True
    body = _without_escapes(body)
    if body.count(b'"') > 4 * values_max:
        return False
    return _count_separators(_outside_strings(body)) <= values_max


def _without_escapes(text: bytes) -> bytes:
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text


def _outside_strings(text: bytes) -> bytes:
    """Return the parts outside strings of a text whose escapes have been removed."""
    return b"".join(text.split(b'"')[::2])


def _count_separators(text: bytes) -> int:
    return text.count(b",") + text.count(b"{") + text.count(b"[")
