"""Decode OTLP/protobuf without creating messages for the levels above spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from producers.bounded_cache import BoundedCache, size_of
from producers.errors import BodyError, DecodeInThreadError, TooLargeError
from producers.gateway.otlp.export import (
    AttributeValue,
    Export,
    ExportedSpan,
    ExportLimits,
    Origin,
    SpanEvent,
    SpanGroup,
)
from producers.gateway.otlp.limiter import ExportLimiter
from producers.gateway.otlp.protobuf_values import attributes_of
from producers.gateway.otlp.refused_spans import RefusedSpans
from producers.gateway.otlp.schema import (
    EventMessage,
    ResourceMessage,
    ScopeMessage,
    ScopeSpansMessage,
    SpanMessage,
    StatusMessage,
)
from producers.gateway.otlp.wire import (
    FIELDS_MAX,
    PARSED_BYTES_MAX,
    TooManyFieldsError,
    check_fields,
    fields,
    parsed,
)

_NO_TRACE_ID: Final = bytes(16)
_NO_SPAN_ID: Final = bytes(8)
_NO_EVENTS: Final[list[SpanEvent]] = []
"""Shared by all spans without events, so that garbage collection traverses fewer lists."""

CACHED_ORIGINS_MAX_BYTES: Final = 16 * 1024 * 1024

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
                _decode_resource_spans(body, start, end, number, limiter, groups, refused)
    except DecodeError as error:
        where = f"resourceSpans[{number}] " if number >= 0 else "the body "
        raise BodyError(f"{where}is not an OTLP trace export in protobuf") from error
    return Export(groups, dict(limiter.reached), refused.spans)


def _decode_resource_spans(
    body: bytes,
    start: int,
    end: int,
    number: int,
    limiter: ExportLimiter,
    groups: list[SpanGroup],
    refused: RefusedSpans,
) -> None:
    """Decode one ``ResourceSpans`` and append its groups."""
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
            for run, fault in _runs(body, begin, stop, limiter):
                if fault is not None:
                    limiter.count_spans(1)
                    _refuse(run, fault, path, limiter, spans, refused)
                    continue
                message = _parsed_run(run)
                if message is None:
                    scope = _decode_one_by_one(run, path, limiter, spans, refused) or scope
                    continue
                limiter.count_spans(len(message.spans))
                scope = message.scope or scope
                _decode_spans(message.spans, path, limiter, spans, refused)
            groups.append(SpanGroup(_origin(resource, scope, limiter), spans))
        except DecodeError as error:
            raise BodyError(f"{path} contains invalid protobuf") from error


def _runs(
    body: bytes, start: int, end: int, limiter: ExportLimiter
) -> Iterator[tuple[bytes, Exception | None]]:
    """Split ``ScopeSpans`` between fields into parts of about ``PARSED_BYTES_MAX``.

    Yield each part with None; a large span that may not be parsed, with the reason.
    """
    if end - start <= PARSED_BYTES_MAX:
        yield body[start:end], None
        return
    before = start
    for field, begin, stop in fields(body, start, end, limiter):
        is_large = field == 2 and stop - begin > PARSED_BYTES_MAX
        fault = _fault(body, begin, stop) if is_large else None
        if fault is not None:
            yield body[start:before], None
            yield body[begin:stop], fault
            start = stop
        elif stop - start > PARSED_BYTES_MAX:
            yield body[start:stop], None
            start = stop
        before = stop
    yield body[start:end], None


def _fault(body: bytes, start: int, end: int) -> Exception | None:
    try:
        check_fields(body, start, end)
    except (DecodeError, TooManyFieldsError) as error:
        return error
    return None


def _parsed_run(run: bytes) -> Any:
    """Parse spans of a scope; return None if something in them is malformed."""
    try:
        return ScopeSpansMessage.FromString(run)
    except DecodeError:
        return None


def _decode_one_by_one(
    run: bytes, path: str, limiter: ExportLimiter, spans: list[ExportedSpan], refused: RefusedSpans
) -> bytes:
    """Decode the spans of a run, which does not parse as a whole, one by one; return its scope."""
    scope = b""
    for field, begin, stop in fields(run, 0, len(run), limiter):
        if field == 1:
            scope = run[begin:stop]
        elif field == 2:
            limiter.count_spans(1)
            encoded = run[begin:stop]
            try:
                message = parsed(SpanMessage, encoded)
            except (DecodeError, TooManyFieldsError) as error:
                _refuse(encoded, error, path, limiter, spans, refused)
            else:
                _decode_spans((message,), path, limiter, spans, refused)
    return scope


def _decode_spans(
    messages: Iterable[Any],
    path: str,
    limiter: ExportLimiter,
    spans: list[ExportedSpan],
    refused: RefusedSpans,
) -> None:
    for message in messages:
        try:
            spans.append(_span(message, limiter))
        except TooManyFieldsError as error:
            _refuse(message.SerializeToString(), error, path, limiter, spans, refused)
        except (TooLargeError, DecodeInThreadError):
            raise
        except Exception as error:  # noqa: BLE001  a bug must refuse only this span
            _refuse(message.SerializeToString(), error, path, limiter, spans, refused)


def _refuse(
    encoded: bytes,
    error: Exception,
    path: str,
    limiter: ExportLimiter,
    spans: list[ExportedSpan],
    refused: RefusedSpans,
) -> None:
    """Refuse the next span of a scope."""
    if isinstance(error, TooManyFieldsError):  # checking them again and again would take too long
        limiter.count_fields(FIELDS_MAX)
    span_path = refused.path_of_next(path, len(spans))
    if isinstance(error, _IdError):
        error = BodyError(f"{span_path}.{error}")
    refused.add(span_path, encoded, error)


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
        attributes_of(message.attributes, limiter),
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
        events.append(SpanEvent(name, message.time_ns, attributes_of(message.attributes, limiter)))
    return events


class _Resource:
    """A resource whose attributes are decoded once, on first use, for all of its scopes."""

    __slots__ = ("_attributes", "_limiter", "encoded")

    def __init__(self, encoded: bytes, limiter: ExportLimiter) -> None:
        self.encoded = encoded
        self._limiter = limiter
        self._attributes: dict[str, AttributeValue] | None = None

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        if self._attributes is None:
            message = parsed(ResourceMessage, self.encoded)
            self._attributes = attributes_of(message.attributes, self._limiter)
        return self._attributes


def _origin(resource: _Resource, scope: bytes, limiter: ExportLimiter) -> Origin:
    if (
        len(resource.encoded) + len(scope) > _origins.max_bytes // 64
    ):  # too large to be copied as a key
        return _new_origin(resource, scope, limiter)
    key = (resource.encoded, scope)
    origin = _origins.get(key)
    if origin is None:
        origin = _new_origin(resource, scope, limiter)
        size = size_of(key) + size_of(origin.resource) + size_of(origin.scope)
        _origins.keep(key, origin, size)
    return origin


def _new_origin(resource: _Resource, scope: bytes, limiter: ExportLimiter) -> Origin:
    message = parsed(ScopeMessage, scope)
    return Origin(
        resource.attributes,
        message.name.decode("utf-8", "replace"),
        message.version.decode("utf-8", "replace"),
        attributes_of(message.attributes, limiter),
    )
