"""Decode ids, times and attributes of OTLP/JSON, also in the forms that JavaScript sends."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from producers.errors import BodyError
from producers.gateway.otlp.export import AttributeValue, array_of
from producers.gateway.otlp.limiter import ExportLimiter
from producers.gateway.values.numbers import finite, float_of

_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_DECIMAL: Final = re.compile(r"\s*[+-]?[0-9]{1,20}\s*")
_BYTE_VALUES: Final = range(256)
_TIMES: Final = ("startTimeUnixNano", "endTimeUnixNano")
_QUOTED_CHARS_MAX: Final = 40
_UINT64_END: Final = 1 << 64
_INT64_END: Final = 1 << 63


def array_in(parent: Mapping[str, Any], name: str, path: str) -> list[Any]:
    """Return an array of an object; an empty list if it is missing or null.

    Raises:
        BodyError: the value is not an array.
    """
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BodyError(f"{path}{name} is not an array")
    return value


def objects_of(values: Sequence[Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the elements of an array, each with its path.

    Raises:
        BodyError: an element is not an object.
    """
    objects = []
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise BodyError(f"{path}[{index}] is not an object")
        objects.append((f"{path}[{index}]", value))
    return objects


def id_of(value: Any, byte_count: int, path: str) -> str:
    """Return an id as lower-case hex, from hex, base64 or a JSON ``Buffer``.

    Raises:
        BodyError: it is missing, has another length or is all zeros.
    """
    if value is None:
        raise BodyError(f"{path} is missing")
    found = _id_bytes(value, byte_count)
    if found is None:
        raise BodyError(f"{path} is not an id of {byte_count} bytes")
    if not any(found):
        raise BodyError(f"{path} is all zeros")
    return found.hex()


def parent_id_of(value: Any, path: str) -> str | None:
    """Return the id of a parent span as lower-case hex; None if it is empty or all zeros.

    Raises:
        BodyError: it is not an id.
    """
    if value is None or value == "":
        return None
    found = _id_bytes(value, 8)
    if found is None:
        raise BodyError(f"{path} is not an id of 8 bytes")
    return found.hex() if any(found) else None


def _id_bytes(value: Any, byte_count: int) -> bytes | None:
    if isinstance(value, str):
        if len(value) == 2 * byte_count and _HEX.fullmatch(value):
            return bytes.fromhex(value)
        try:
            found: bytes | None = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
    else:
        found = _buffer(value)
    return found if found is not None and len(found) == byte_count else None


def _buffer(value: Any) -> bytes | None:
    """Return the bytes of a Node.js ``Buffer`` or ``Uint8Array`` after ``JSON.stringify``."""
    if not isinstance(value, dict):
        return None
    data = value.get("data") if value.get("type") == "Buffer" else list(value.values())
    if isinstance(data, list) and all(type(b) is int and b in _BYTE_VALUES for b in data):
        return bytes(data)
    return None


def attributes_of(parent: Any, path: str, limiter: ExportLimiter) -> dict[str, AttributeValue]:
    """Decode the attributes of an object; entries without a key are dropped.

    Raises:
        BodyError: ``attributes`` is not an array.
    """
    if not isinstance(parent, dict):
        return {}
    entries: Sequence[Any] = array_in(parent, "attributes", f"{path}.")
    attributes: dict[str, AttributeValue] = {}
    entries = limiter.first(entries, "attributes_max")
    limiter.count_values(len(entries))
    for entry in entries:
        if isinstance(entry, dict) and isinstance(key := entry.get("key"), str):
            attributes[key] = _value(entry.get("value"), limiter, 0)
    return attributes


def _value(message: Any, limiter: ExportLimiter, depth: int) -> AttributeValue:
    """Decode a JSON ``AnyValue``; None if it is not one."""
    if not isinstance(message, dict):
        return None
    for kind, content in message.items():
        if kind in _SCALARS:
            return _SCALARS[kind](content, limiter)
        if kind in ("arrayValue", "kvlistValue") and isinstance(content, dict):
            return _nested(kind, content.get("values"), limiter, depth)
    return None


def _nested(kind: str, values: Any, limiter: ExportLimiter, depth: int) -> AttributeValue:
    if depth >= limiter.limits.depth_max:
        return limiter.too_deep()
    if not isinstance(values, list):
        values = []
    limiter.count_values(len(values))
    if kind == "arrayValue":
        return array_of([_value(value, limiter, depth + 1) for value in values])
    return {
        key: _value(item.get("value"), limiter, depth + 1)
        for item in values
        if isinstance(item, dict) and isinstance(key := item.get("key"), str)
    }


def int_of(value: Any) -> int | None:
    """Decode an integer from a number, a decimal string or a ``Long`` (two signed 32-bit halves).

    Return None for anything else.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        return int(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        if type(low) is int and type(high) is int:
            whole = ((high & 0xFFFFFFFF) << 32) | (low & 0xFFFFFFFF)
            unsigned = value.get("unsigned") is True or whole < _INT64_END
            return whole if unsigned else whole - _UINT64_END
    return None


def _string(value: Any, limiter: ExportLimiter) -> AttributeValue:
    return limiter.text(value) if isinstance(value, str) else None


def _bool(value: Any, _limiter: ExportLimiter) -> AttributeValue:
    return value if isinstance(value, bool) else None


def _int64(value: Any, limiter: ExportLimiter) -> AttributeValue:
    number = int_of(value)
    if number is None or not -_INT64_END <= number < _INT64_END:
        return _string(value, limiter)
    return number


def _double(value: Any, limiter: ExportLimiter) -> AttributeValue:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return finite(float_of(value))
    return _string(value, limiter)


def _base64(value: Any, limiter: ExportLimiter) -> AttributeValue:
    data = _buffer(value)
    return _string(value if data is None else base64.b64encode(data).decode(), limiter)


_SCALARS: Final[dict[str, Callable[[Any, ExportLimiter], AttributeValue]]] = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int64,
    "doubleValue": _double,
    "bytesValue": _base64,
}


def time_ns_of(value: Any) -> int:
    """Decode nanoseconds since the epoch; return 0 for an invalid time."""
    number = int_of(value)
    return number if number is not None and 0 < number < _UINT64_END else 0


def time_fault(span: dict[str, Any]) -> str:
    """Describe the first invalid time of a span; empty if there is none.

    A time that is missing, null, empty or zero is valid and means that the time is unknown.
    """
    for name in _TIMES:
        value = span.get(name)
        if value not in (None, "") and int_of(value) != 0 and not time_ns_of(value):
            quoted = msgspec.json.encode(value).decode()[:_QUOTED_CHARS_MAX]
            return f"{name} is not nanoseconds since 1970: {quoted}"
    return ""


def string_or_empty(value: Any) -> str:
    """Return a string; empty for any other value."""
    return value if isinstance(value, str) else ""
