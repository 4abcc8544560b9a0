"""Decode OTLP/JSON, span by span."""

from __future__ import annotations

from collections.abc import Mapping
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
)
from producers.gateway.otlp.json_values import (
    array_in,
    attributes_of,
    id_of,
    int_of,
    objects_of,
    parent_id_of,
    string_or_empty,
    time_fault,
    time_ns_of,
)
from producers.gateway.otlp.limiter import ExportLimiter
from producers.gateway.otlp.refused_spans import RefusedSpans
from producers.gateway.values.json_size import DEPTH_MAX, check_inline, check_json_values, cut_deep
from producers.gateway.values.json_size import decode_json as decode_item
from producers.gateway.values.json_text import check_utf8, without_lone_surrogates

_STATUS_CODES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}

_ENVELOPE_DEPTH: Final = 8
"""Maximum number of arrays and objects around a span."""

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode_json(body: bytes, limits: ExportLimits) -> Export:
    """Decode a JSON ``ExportTraceServiceRequest``.

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
        # Only spans that are nested too deeply are cut. They still exceed the limit and are
        # rejected; the others are decoded.
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
        resource = attributes_of(resource_message, f"{resource_path}.resource", limiter)
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
        BodyError: it is nested too deeply or too large, or has a number that is out of range.
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


def _origin(
    resource: dict[str, AttributeValue], scope: Any, path: str, limiter: ExportLimiter
) -> Origin:
    if not isinstance(scope, dict):
        return Origin(resource)
    attributes = attributes_of(scope, path, limiter)
    return Origin(
        resource,
        string_or_empty(scope.get("name")),
        string_or_empty(scope.get("version")),
        attributes,
    )


def _span(span: dict[str, Any], path: str, limiter: ExportLimiter) -> ExportedSpan:
    status = span.get("status")
    if not isinstance(status, dict):
        status = {}
    code = status.get("code")
    return ExportedSpan(
        id_of(span.get("traceId"), 16, f"{path}.traceId"),
        id_of(span.get("spanId"), 8, f"{path}.spanId"),
        parent_id_of(span.get("parentSpanId"), f"{path}.parentSpanId"),
        string_or_empty(span.get("name")),
        time_ns_of(span.get("startTimeUnixNano")),
        time_ns_of(span.get("endTimeUnixNano")),
        attributes_of(span, path, limiter),
        _events(span, path, limiter),
        _STATUS_CODES.get(code, 0) if isinstance(code, str) else int_of(code) or 0,
        limiter.text(string_or_empty(status.get("message"))),
        time_fault(span),
    )


def _events(span: dict[str, Any], path: str, limiter: ExportLimiter) -> list[SpanEvent]:
    events = limiter.first(array_in(span, "events", f"{path}."), "events_max")
    return [
        SpanEvent(
            string_or_empty(event.get("name")),
            time_ns_of(event.get("timeUnixNano")),
            attributes_of(event, event_path, limiter),
        )
        for event_path, event in objects_of(events, f"{path}.events")
    ]
