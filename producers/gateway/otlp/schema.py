"""Declare the protobuf messages of an OTLP trace export.

The field numbers are those of ``opentelemetry/proto/collector/trace/v1``, and the messages are
wire-compatible with it. They differ to make decoding cheap:

* Fields that are not used are not declared.
* Attributes, events, status, scope, arrays and key-value lists are ``bytes``, which are not parsed
  with the span. Most are found in a cache by their bytes, or are never needed.
* ``Values`` is both an array and a key-value list.
* Names are ``bytes``, so that invalid UTF-8 does not cause the rejection of the whole export.

The levels around ``ScopeSpans`` are not declared: ``wire`` iterates over their fields.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE: Final = "tracemill.otlp"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int64": _Field.TYPE_INT64,
    "int32": _Field.TYPE_INT32,
    "double": _Field.TYPE_DOUBLE,
    "fixed64": _Field.TYPE_FIXED64,
}

_MESSAGES: Final[dict[str, tuple[str, ...]]] = {
    "ScopeSpans": ("bytes scope = 1", "repeated Span spans = 2"),
    "Span": (
        "bytes trace_id = 1",
        "bytes span_id = 2",
        "bytes parent_span_id = 4",
        "bytes name = 5",
        "fixed64 start_ns = 7",
        "fixed64 end_ns = 8",
        "repeated bytes attributes = 9",
        "repeated bytes events = 11",
        "bytes status = 15",
    ),
    "Event": ("fixed64 time_ns = 1", "bytes name = 2", "repeated bytes attributes = 3"),
    "Status": ("bytes message = 2", "int32 code = 3"),
    "Resource": ("repeated bytes attributes = 1",),
    "Scope": ("bytes name = 1", "bytes version = 2", "repeated bytes attributes = 3"),
    "KeyValue": ("bytes key = 1", "AnyValue value = 2"),
    "AnyValue": (
        "oneof bytes string_value = 1",
        "oneof bool bool_value = 2",
        "oneof int64 int_value = 3",
        "oneof double double_value = 4",
        "oneof bytes array_value = 5",
        "oneof bytes kvlist_value = 6",
        "oneof bytes bytes_value = 7",
    ),
    "Values": ("repeated bytes values = 1",),
}


def _declare_field(message: descriptor_pb2.DescriptorProto, line: str) -> None:
    declaration, number = line.split(" = ")
    *qualifiers, type_name, name = declaration.split()
    label = _Field.LABEL_REPEATED if "repeated" in qualifiers else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label)
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{type_name}"
    if "oneof" in qualifiers:
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
        field.oneof_index = 0


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tracemill/otlp.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, lines in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in lines:
            _declare_field(message, line)
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


ScopeSpansMessage: Final = _message("ScopeSpans")
SpanMessage: Final = _message("Span")
EventMessage: Final = _message("Event")
StatusMessage: Final = _message("Status")
ResourceMessage: Final = _message("Resource")
ScopeMessage: Final = _message("Scope")
KeyValueMessage: Final = _message("KeyValue")
AnyValueMessage: Final = _message("AnyValue")
ValuesMessage: Final = _message("Values")
