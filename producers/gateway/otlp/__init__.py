"""Decode OTLP trace exports, protobuf or JSON, to one form."""

from producers.gateway.otlp.decode import decode_export
from producers.gateway.otlp.export import (
    AttributeValue,
    Export,
    ExportedSpan,
    ExportLimits,
    Origin,
    RefusedSpan,
    SpanEvent,
    SpanGroup,
)
from producers.gateway.otlp.limiter import TOO_DEEP

__all__ = [
    "TOO_DEEP",
    "AttributeValue",
    "Export",
    "ExportLimits",
    "ExportedSpan",
    "Origin",
    "RefusedSpan",
    "SpanEvent",
    "SpanGroup",
    "decode_export",
]
