"""OTLP as protobuf."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from producers.bounded_cache import BoundedCache, size_of
from producers.errors import BodyError, MoreWorkError, TooLargeError
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
from producers.gateway.otlp.schema import (
    AnyValueMessage,
    EventMessage,
    KeyValueMessage,
    ResourceMessage,
    ScopeMessage,
    ScopeSpansMessage,
    SpanMessage,
    StatusMessage,
    ValuesMessage,
)
from producers.gateway.otlp.wire import PARSED_BYTES_MAX, check_fields, fields, parsed
from producers.gateway.values.numbers import finite

_KEY_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_STRING_TAG: Final = 0x0A
_SLICED_TEXT_BYTES_MAX: Final = 16_300
"""Lengths of up to two bytes, with room for the string's own tag and length."""
_NO_TRACE_ID: Final = bytes(16)
_NO_SPAN_ID: Final = bytes(8)
_NO_EVENTS: Final[list[SpanEvent]] = []
"""Shared by all spans without events: garbage collection would walk a list for each span."""

CACHED_ENTRY_BYTES_MAX: Final = 80
CACHED_ENTRIES_MAX_BYTES: Final = 4 * 1024 * 1024
CACHED_ORIGINS_MAX_BYTES: Final = 16 * 1024 * 1024

_entries: BoundedCache[bytes, tuple[str, AttributeValue]] = BoundedCache(
    "cached_entries_max_bytes", CACHED_ENTRIES_MAX_BYTES
)
"""Short attributes by their bytes: types, models, environments and small counts come again in every span."""
_origins: BoundedCache[tuple[bytes, bytes], Origin] = BoundedCache(
    "cached_origins_max_bytes", CACHED_ORIGINS_MAX_BYTES
)


def decode_protobuf(body: bytes, limits: ExportLimits) -> Export:
    """Decode a protobuf ``ExportTraceServiceRequest``.

    Raises:
        BodyError, TooLargeError: as ``decode_export``.
    """
    limiter = ExportLimiter(limits)
    refused = RefusedSpans()
    groups: list[SpanGroup] = []
    try:
        number = -1
        for field, start, end in fields(body, 0, len(body), limiter):
            if field == 1:
                number += 1
                limiter.count_groups(1)
                _take_resource_spans(body, start, end, number, limiter, groups, refused)
    except DecodeError as error:
        where = f"resourceSpans[{number}] " if number >= 0 else "the body "
        raise BodyError(f"{where}is not an OTLP trace export in protobuf") from error
    return Export(groups, dict(limiter.reached), refused.spans)


def _take_resource_spans(
    body: bytes,
    start: int,
    end: int,
    number: int,
    limiter: ExportLimiter,
    groups: list[SpanGroup],
    refused: RefusedSpans,
) -> None:
    """All groups of one resource."""
    encoded = b""
    scopes: list[tuple[int, int]] = []
    for field, begin, stop in fields(body, start, end, limiter):
        if field == 1:
            encoded = body[begin:stop]
        elif field == 2:
            limiter.count_groups(1)
            scopes.append((begin, stop))
    resource = _Resource(encoded, limiter)
    for index, (begin, stop) in enumerate(scopes):
        path = f"resourceSpans[{number}].scopeSpans[{index}]"
        try:
            scope = b""
            refused.begin_scope()
            spans: list[ExportedSpan] = []
            for run in _runs(body, begin, stop, limiter):
                try:
                    message = ScopeSpansMessage.FromString(run)
                except DecodeError:
                    scope = _take_one_by_one(run, path, limiter, spans, refused) or scope
                    continue
                limiter.count_spans(len(message.spans))
                scope = message.scope or scope
                _take_spans(message.spans, path, limiter, spans, refused)
            groups.append(SpanGroup(_origin(resource, scope, limiter), spans))
        except DecodeError as error:
            raise BodyError(f"{path} holds something that is not protobuf") from error


def _runs(body: bytes, start: int, end: int, limiter: ExportLimiter) -> Iterator[bytes]:
    """A message in pieces that are parsed one by one: whole fields, about ``PARSED_BYTES_MAX`` at once."""
    if end - start <= PARSED_BYTES_MAX:
        yield body[start:end]
        return
    for _, begin, stop in fields(body, start, end, limiter):
        if stop - begin > PARSED_BYTES_MAX:
            check_fields(body, begin, stop)
        if stop - start > PARSED_BYTES_MAX:
            yield body[start:stop]
            start = stop
    yield body[start:end]


def _take_one_by_one(
    run: bytes, path: str, limiter: ExportLimiter, spans: list[ExportedSpan], refused: RefusedSpans
) -> bytes:
    """Decode one by one the spans of a run that does not parse as a whole; return its scope."""
    scope = b""
    for field, begin, stop in fields(run, 0, len(run), limiter):
        if field == 1:
            scope = run[begin:stop]
        elif field == 2:
            limiter.count_spans(1)
            encoded = run[begin:stop]
            try:
                message = parsed(SpanMessage, encoded)
            except DecodeError as error:
                refused.take(refused.place(path, len(spans)), encoded, error)
            else:
                _take_spans((message,), path, limiter, spans, refused)
    return scope


def _take_spans(
    messages: Iterable[Any],
    path: str,
    limiter: ExportLimiter,
    spans: list[ExportedSpan],
    refused: RefusedSpans,
) -> None:
    for message in messages:
        try:
            spans.append(_span(message, limiter))
        except (TooLargeError, MoreWorkError):
            raise
        except Exception as error:  # noqa: BLE001  a bug must cost no more than the span
            place = refused.place(path, len(spans))
            if isinstance(error, _IdError):
                error = BodyError(f"{place}.{error}")
            refused.take(place, message.SerializeToString(), error)


class _IdError(BodyError):
    """An id is invalid; the message begins with its field."""


def _span(message: Any, limiter: ExportLimiter) -> ExportedSpan:
    trace_id, span_id, parent_id = message.trace_id, message.span_id, message.parent_span_id
    if (
        len(trace_id) != 16
        or len(span_id) != 8
        or len(parent_id) not in (0, 8)
        or trace_id == _NO_TRACE_ID
        or span_id == _NO_SPAN_ID
    ):
        raise _IdError(_id_fault(trace_id, span_id, parent_id))
    span = ExportedSpan(
        trace_id.hex(),
        span_id.hex(),
        parent_id.hex() if parent_id and parent_id != _NO_SPAN_ID else None,
        message.name.decode("utf-8", "replace"),
        message.start_ns,
        message.end_ns,
        _attributes(message.attributes, limiter),
        _events(message.events, limiter) if message.events else _NO_EVENTS,
    )
    if status := message.status:
        parsed_status = parsed(StatusMessage, status)
        span.status_code = parsed_status.code
        span.status_message = limiter.text(parsed_status.message.decode("utf-8", "replace"))
    return span


def _id_fault(trace_id: bytes, span_id: bytes, parent_id: bytes) -> str:
    if len(trace_id) != 16:
        return f"traceId has {len(trace_id)} bytes, not 16"
    if len(span_id) != 8:
        return f"spanId has {len(span_id)} bytes, not 8"
    if len(parent_id) not in (0, 8):
        return f"parentSpanId has {len(parent_id)} bytes, not 8"
    return f"{'traceId' if trace_id == _NO_TRACE_ID else 'spanId'} is all zeros"


def _events(raw: Sequence[bytes], limiter: ExportLimiter) -> list[SpanEvent]:
    events = []
    for entry in limiter.first(raw, "events_max"):
        message = parsed(EventMessage, entry)
        name = message.name.decode("utf-8", "replace")
        events.append(SpanEvent(name, message.time_ns, _attributes(message.attributes, limiter)))
    return events


class _Resource:
    """A resource whose attributes are decoded when first asked for, and once, however many scopes it has."""

    __slots__ = ("_attributes", "_limiter", "encoded")

    def __init__(self, encoded: bytes, limiter: ExportLimiter) -> None:
        self.encoded = encoded
        self._limiter = limiter
        self._attributes: dict[str, AttributeValue] | None = None

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        if self._attributes is None:
            message = parsed(ResourceMessage, self.encoded)
            self._attributes = _attributes(message.attributes, self._limiter)
        return self._attributes


def _origin(resource: _Resource, scope: bytes, limiter: ExportLimiter) -> Origin:
    if len(resource.encoded) + len(scope) > _origins.max_bytes // 64:  # too large to copy as a key
        return _new_origin(resource, scope, limiter)
    key = (resource.encoded, scope)
    origin = _origins.get(key)
    if origin is None:
        origin = _new_origin(resource, scope, limiter)
        size = size_of(key) + size_of(origin.resource) + size_of(origin.scope)
        _origins.keep(key, origin, size)
    return origin


def _new_origin(resource: _Resource, scope: bytes, limiter: ExportLimiter) -> Origin:
    said = parsed(ScopeMessage, scope)
    return Origin(
        resource.attributes,
        said.name.decode("utf-8", "replace"),
        said.version.decode("utf-8", "replace"),
        _attributes(said.attributes, limiter),
    )


def _attributes(raw: Sequence[bytes], limiter: ExportLimiter) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    known = _entries.get
    if len(raw) > limiter.limits.attributes_max:
        raw = limiter.first(raw, "attributes_max")
    limiter.count_values(len(raw))
    for entry in raw[:]:  # a list: cheaper to walk than the message's own container
        key, value = known(entry) or _pair(entry, limiter)
        attributes[key] = value
    return attributes


def _pair(entry: bytes, limiter: ExportLimiter) -> tuple[str, AttributeValue]:
    """Key and value of one attribute.

    Nearly all are strings below 16 KiB, laid out as tag, length, key, tag, length, tag, length, text. What stands before the text follows from the
    lengths of entry and key: where it does stand there, the text is sliced out; whatever looks different goes through the parser.
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
            and size <= limiter.uncut_bytes
        ):
            pair = entry[2:header_at].decode(), entry[text_at:].decode()
            return pair if size > CACHED_ENTRY_BYTES_MAX else _kept(entry, pair)
    except (IndexError, UnicodeDecodeError):
        pass
    key, value = _key_value(entry, limiter, 0)
    return _kept(entry, (key, value))


def _header(text_bytes: int) -> bytes:
    """What stands between an attribute's key and its text: tag and length of the value, then of the string in it."""
    string = bytes((_STRING_TAG, *_length(text_bytes)))
    return bytes((_VALUE_TAG, *_length(len(string) + text_bytes))) + string


def _length(count: int) -> tuple[int, ...]:
    return (count,) if count < 128 else (count & 127 | 128, count >> 7)


def _headers() -> list[bytes]:
    """The header by its own length plus the text's; where there is none of that length, something that is no header."""
    headers = [b"\xff"] * (_SLICED_TEXT_BYTES_MAX + 8)
    for text_bytes in range(_SLICED_TEXT_BYTES_MAX + 1):
        header = _header(text_bytes)
        headers[len(header) + text_bytes] = header
    return headers


_HEADERS: Final = _headers()


def _kept(entry: bytes, pair: tuple[str, AttributeValue]) -> tuple[str, AttributeValue]:
    """The pair, remembered if it is short and cannot be changed."""
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
