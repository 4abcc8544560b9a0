"""Decode attributes of OTLP/protobuf; short ones are cached by their bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from producers.bounded_cache import BoundedCache
from producers.gateway.otlp.export import AttributeValue, array_of
from producers.gateway.otlp.limiter import ExportLimiter
from producers.gateway.otlp.schema import AnyValueMessage, KeyValueMessage, ValuesMessage
from producers.gateway.otlp.wire import parsed
from producers.gateway.values.numbers import finite

_KEY_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_STRING_TAG: Final = 0x0A
_SLICED_TEXT_BYTES_MAX: Final = 16_300
"""Maximum size of a text that is sliced out: the lengths around it have at most two bytes."""

CACHED_ENTRY_BYTES_MAX: Final = 80
CACHED_ENTRIES_MAX_BYTES: Final = 4 * 1024 * 1024

_entries: BoundedCache[bytes, tuple[str, AttributeValue]] = BoundedCache(
    "cached_entries_max_bytes", CACHED_ENTRIES_MAX_BYTES
)
"""Short attributes by their bytes: models, environments and small counts repeat in every span."""


def attributes_of(raw: Sequence[bytes], limiter: ExportLimiter) -> dict[str, AttributeValue]:
    """Decode a list of encoded ``KeyValue`` messages; the last of equal keys wins.

    Raises:
        DecodeError: one of them is not protobuf.
        TooLargeError, DecodeInThreadError: as ``ExportLimiter.count_values``.
    """
    attributes: dict[str, AttributeValue] = {}
    cached = _entries.get
    if len(raw) > limiter.limits.attributes_max:
        raw = limiter.first(raw, "attributes_max")
    limiter.count_values(len(raw))
    for entry in raw[:]:  # a list is cheaper to iterate than the message's own container
        key, value = cached(entry) or _pair(entry, limiter)
        attributes[key] = value
    return attributes


def _pair(entry: bytes, limiter: ExportLimiter) -> tuple[str, AttributeValue]:
    """Decode the key and value of one attribute.

    Nearly all values are strings below 16 KiB, encoded as tag, length, key, tag, length, tag,
    length, text. The lengths of entry and key determine the bytes before the text. If they are as
    expected, the text is sliced out, which is faster than parsing. All other entries are parsed.
    """
    size = len(entry)
    try:
        header_at = entry[1] + 2
        header = _HEADERS[size - header_at]
        text_at = header_at + len(header)
        if (
            entry[header_at:text_at] == header
            and header_at < 130
            and entry[0] == _KEY_TAG
            and size <= limiter.untruncated_bytes
        ):
            pair = entry[2:header_at].decode(), entry[text_at:].decode()
            return pair if size > CACHED_ENTRY_BYTES_MAX else _kept(entry, pair)
    except (IndexError, UnicodeDecodeError):
        pass
    key, value = _key_value(entry, limiter, 0)
    return _kept(entry, (key, value))


def _header(text_bytes: int) -> bytes:
    """Return the bytes between an attribute's key and its text: both tags with their lengths."""
    string = bytes((_STRING_TAG, *_length(text_bytes)))
    return bytes((_VALUE_TAG, *_length(len(string) + text_bytes))) + string


def _length(count: int) -> tuple[int, ...]:
    return (count,) if count < 128 else (count & 127 | 128, count >> 7)


def _headers() -> list[bytes]:
    """Return headers by the sum of header and text length; an invalid one if none fits."""
    headers = [b"\xff"] * (_SLICED_TEXT_BYTES_MAX + 8)
    for text_bytes in range(_SLICED_TEXT_BYTES_MAX + 1):
        header = _header(text_bytes)
        headers[len(header) + text_bytes] = header
    return headers


_HEADERS: Final = _headers()


def _kept(entry: bytes, pair: tuple[str, AttributeValue]) -> tuple[str, AttributeValue]:
    """Cache a pair if it is short and its value is immutable; return it."""
    if len(entry) <= CACHED_ENTRY_BYTES_MAX and not isinstance(pair[1], list | dict):
        _entries.keep(entry, pair)
    return pair


def _value(message: Any, limiter: ExportLimiter, depth: int) -> AttributeValue:
    kind = message.WhichOneof("value")
    content: Any = getattr(message, kind) if kind else None
    if kind == "string_value":
        content = limiter.text(content.decode("utf-8", "replace"))
    elif kind == "double_value":
        content = finite(content)
    elif kind == "bytes_value":
        content = limiter.text(base64.b64encode(content).decode())
    elif kind in ("array_value", "kvlist_value"):
        content = _nested(kind, content, limiter, depth)
    found: AttributeValue = content
    return found


def _nested(kind: str, encoded: bytes, limiter: ExportLimiter, depth: int) -> AttributeValue:
    if depth >= limiter.limits.depth_max:
        return limiter.too_deep()
    values = parsed(ValuesMessage, encoded).values
    limiter.count_values(len(values))
    if kind == "array_value":
        return array_of(
            [_value(parsed(AnyValueMessage, value), limiter, depth + 1) for value in values]
        )
    return dict([_key_value(value, limiter, depth + 1) for value in values])


def _key_value(entry: bytes, limiter: ExportLimiter, depth: int) -> tuple[str, AttributeValue]:
    message = parsed(KeyValueMessage, entry)
    return message.key.decode("utf-8", "replace"), _value(message.value, limiter, depth)
