"""OTLP as JSON."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from producers.errors import BodyError
from producers.gateway.otlp.export import (
    AttributeValue,
    Export,
    ExportedSpan,
    ExportLimits,
    Origin,
    SpanEvent,
    SpanGroup,
    array_of,
)
from producers.gateway.otlp.limiter import ExportLimiter
from producers.gateway.otlp.refused_spans import RefusedSpans
from producers.gateway.values.json_size import DEPTH_MAX, check_inline, check_json_values, cut_deep
from producers.gateway.values.json_size import decode_json as decode_item
from producers.gateway.values.json_text import check_utf8, without_lone_surrogates
from producers.gateway.values.numbers import finite, float_of

_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_DECIMAL: Final = re.compile(r"\s*[+-]?[0-9]{1,20}\s*")
_STATUS_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_BYTE_VALUES: Final = range(256)
_TIMES: Final = ("startTimeUnixNano", "endTimeUnixNano")
_TIME_CHARS_TOLD: Final = 40
_UINT64_END: Final = 1 << 64
_INT64_END: Final = 1 << 63

_ENVELOPE_DEPTH: Final = 8
"""Largest number of arrays and objects around a span."""

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode_json(body: bytes, limits: ExportLimits) -> Export:
    """Decode a JSON ``ExportTraceServiceRequest``, span by span.

    Raises:
        BodyError, TooLargeError: as ``decode_export``.
    """
    check_inline(body, limits.inline_values_max)
    check_json_values(body, limits.json_values_max)
    body = without_lone_surrogates(body)
    refused = RefusedSpans()
    try:
        groups, reached = _decode_groups(body, limits, refused)
    except RecursionError:
        # Only the span that is nested too deep is refused: after the cut it is still too deep.
        body = cut_deep(body, DEPTH_MAX + _ENVELOPE_DEPTH)
        refused = RefusedSpans()
        groups, reached = _decode_groups(body, limits, refused)
    if not refused.spans:
        check_utf8(body, "the body")
    return Export(groups, reached, refused.spans)


def _decode_groups(
    body: bytes, limits: ExportLimits, refused: RefusedSpans
) -> tuple[list[SpanGroup], dict[str, int]]:
    limiter = ExportLimiter(limits)
    groups = []
    message = _members(body)
    resources = _items(message, "resourceSpans", "")
    limiter.count_groups(len(resources))
    for resource_path, raw_resource in resources:
        resource_spans = _object(raw_resource, resource_path)
        scopes = _items(resource_spans, "scopeSpans", f"{resource_path}.")
        limiter.count_groups(len(scopes))
        resource_message = _value_of(resource_spans.get("resource"), f"{resource_path}.resource")
        resource = _attributes(resource_message, f"{resource_path}.resource", limiter)
        for path, raw_scope in scopes:
            scope_spans = _object(raw_scope, path)
            scope = _value_of(scope_spans.get("scope"), f"{path}.scope")
            origin = _origin(resource, scope, f"{path}.scope", limiter)
            raw_spans = _items(scope_spans, "spans", f"{path}.")
            limiter.count_spans(len(raw_spans))
            spans = []
            for span_path, raw in raw_spans:
                encoded = bytes(raw)
                with refused.isolating(span_path, encoded):
                    spans.append(_span(_span_of(encoded, span_path), span_path, limiter))
            groups.append(SpanGroup(origin, spans))
    return groups, dict(limiter.reached)


def _span_of(raw: bytes, path: str) -> dict[str, Any]:
    check_utf8(raw, path)
    span = _value_of(raw, path)
    if not isinstance(span, dict):
        raise BodyError(f"{path} is not an object")
    return span


def _value_of(raw: bytes | msgspec.Raw | None, path: str) -> Any:
    """Decode one item.

    Raises:
        BodyError: it is nested too deep, too large, or has a number that is out of range.
    """
    if raw is None:
        return None
    try:
        return decode_item(bytes(raw))
    except msgspec.DecodeError as error:
        raise BodyError(f"{path}: {error}") from error


def _members(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _decode_members(body)
    except msgspec.ValidationError as error:
        raise BodyError("the body is not a JSON object") from error
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8: {error}") from error
    except msgspec.DecodeError as error:
        raise BodyError(f"the body is not JSON: {error}") from error


def _object(raw: msgspec.Raw, path: str) -> dict[str, msgspec.Raw]:
    if _first_byte(raw) != b"{":
        raise BodyError(f"{path} is not an object")
    return _members(raw)


def _items(
    parent: Mapping[str, msgspec.Raw], name: str, path: str
) -> list[tuple[str, msgspec.Raw]]:
    """Return the undecoded elements of an array, each with its path."""
    raw = parent.get(name)
    if raw is None or _first_byte(raw) == b"n":  # null
        return []
    if _first_byte(raw) != b"[":
        raise BodyError(f"{path}{name} is not an array")
    return [(f"{path}{name}[{index}]", item) for index, item in enumerate(_decode_items(raw))]


def _first_byte(raw: msgspec.Raw) -> bytes:
    """Return the first byte of a value without copying it."""
    return bytes(memoryview(raw)[:1])


def _array(parent: Mapping[str, Any], name: str, path: str) -> list[Any]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BodyError(f"{path}{name} is not an array")
    return value


def _objects(parent: Mapping[str, Any], name: str, path: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects of an array, each with its place."""
    objects = []
    for index, value in enumerate(_array(parent, name, path)):
        if not isinstance(value, dict):
            raise BodyError(f"{path}{name}[{index}] is not an object")
        objects.append((f"{path}{name}[{index}]", value))
    return objects


def _origin(
    resource: dict[str, AttributeValue], scope: Any, path: str, limiter: ExportLimiter
) -> Origin:
    if not isinstance(scope, dict):
        return Origin(resource)
    attributes = _attributes(scope, path, limiter)
    return Origin(resource, _text(scope.get("name")), _text(scope.get("version")), attributes)


def _span(span: dict[str, Any], path: str, limiter: ExportLimiter) -> ExportedSpan:
    status = span.get("status")
    if not isinstance(status, dict):
        status = {}
    code = status.get("code")
    return ExportedSpan(
        _id(span.get("traceId"), 16, f"{path}.traceId"),
        _id(span.get("spanId"), 8, f"{path}.spanId"),
        _parent_id(span.get("parentSpanId"), f"{path}.parentSpanId"),
        _text(span.get("name")),
        _time_ns(span.get("startTimeUnixNano")),
        _time_ns(span.get("endTimeUnixNano")),
        _attributes(span, path, limiter),
        _events(span, path, limiter),
        _STATUS_CODES.get(code, 0) if isinstance(code, str) else _int(code) or 0,
        limiter.text(_text(status.get("message"))),
        _time_fault(span),
    )


def _events(span: dict[str, Any], path: str, limiter: ExportLimiter) -> list[SpanEvent]:
    cut = {"events": limiter.first(_array(span, "events", f"{path}."), "events_max")}
    events = _objects(cut, "events", f"{path}.")
    return [
        SpanEvent(
            _text(event.get("name")),
            _time_ns(event.get("timeUnixNano")),
            _attributes(event, event_path, limiter),
        )
        for event_path, event in events
    ]


def _id(value: Any, byte_count: int, path: str) -> str:
    """Lower-case hex of an id given as hex, as base64 or as a JSON ``Buffer``."""
    if value is None:
        raise BodyError(f"{path} is missing")
    found = _id_bytes(value, byte_count)
    if found is None:
        raise BodyError(f"{path} is not an id of {byte_count} bytes")
    if not any(found):
        raise BodyError(f"{path} is all zeros")
    return found.hex()


def _parent_id(value: Any, path: str) -> str | None:
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
    """The bytes of what ``JSON.stringify`` makes of a Node.js ``Buffer`` or ``Uint8Array``."""
    if not isinstance(value, dict):
        return None
    data = value.get("data") if value.get("type") == "Buffer" else list(value.values())
    if isinstance(data, list) and all(type(b) is int and b in _BYTE_VALUES for b in data):
        return bytes(data)
    return None


def _attributes(parent: Any, path: str, limiter: ExportLimiter) -> dict[str, AttributeValue]:
    if not isinstance(parent, dict):
        return {}
    entries: Sequence[Any] = _array(parent, "attributes", f"{path}.")
    attributes: dict[str, AttributeValue] = {}
    entries = limiter.first(entries, "attributes_max")
    limiter.count_values(len(entries))
    for entry in entries:
        if isinstance(entry, dict) and isinstance(key := entry.get("key"), str):
            attributes[key] = _value(entry.get("value"), limiter, 0)
    return attributes


def _value(message: Any, limiter: ExportLimiter, depth: int) -> AttributeValue:
    """The value of a JSON ``AnyValue``; ``None`` for what is none."""
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


def _int(value: Any) -> int | None:
    """An integer given as number, decimal string or ``Long`` object (two signed halves of 32 bits)."""
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
    number = _int(value)
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


def _time_ns(value: Any) -> int:
    number = _int(value)
    return number if number is not None and 0 < number < _UINT64_END else 0


def _time_fault(span: dict[str, Any]) -> str:
    """Which time of a span is given, but is none; left out, null, empty or zero it is merely unknown."""
    for name in _TIMES:
        value = span.get(name)
        if value not in (None, "") and _int(value) != 0 and not _time_ns(value):
            said = msgspec.json.encode(value).decode()[:_TIME_CHARS_TOLD]
            return f"{name} is not nanoseconds since 1970: {said}"
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
