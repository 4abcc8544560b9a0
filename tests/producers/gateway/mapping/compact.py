"""Encode compact exports like clients: with OpenTelemetry's protobuf classes, or as OTLP's JSON.

A compact export is ``{"resource": {…}, "scope": {"name", "version", "attributes"},
"spans": [{"name", "attributes", …}]}`` with attributes as plain JSON.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

RECEIVED_US = 1_795_000_000_000_000
START_NS = (RECEIVED_US - 2_000_000) * 1000
END_NS = (RECEIVED_US - 1_000_000) * 1000
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "00f067aa0ba902b7"


def span_id_of(index: int) -> str:
    return f"{index + 1:016x}"


def any_value(value: Any) -> dict[str, Any]:
    """OTLP JSON's ``AnyValue`` of a plain value."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float() if math.isfinite(value):
            return {"doubleValue": value}
        case float():
            name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return {"doubleValue": name}
        case str():
            return {"stringValue": value}
        case bytes():
            return {"bytesValue": msgspec.json.decode(msgspec.json.encode(value))}
        case list():
            return {"arrayValue": {"values": [any_value(item) for item in value]}}
        case _:
            return {"kvlistValue": {"values": key_values(value)}}


def key_values(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]


def json_span(span: dict[str, Any], index: int) -> dict[str, Any]:
    encoded = {
        "traceId": span.get("trace_id", TRACE_ID),
        "spanId": span.get("span_id", span_id_of(index)),
        "parentSpanId": span.get("parent_id", ""),
        "name": span.get("name", "a span"),
        "kind": 1,
        "startTimeUnixNano": str(span.get("start_ns", START_NS)),
        "endTimeUnixNano": str(span.get("end_ns", END_NS)),
        "attributes": key_values(span.get("attributes", {})),
        "events": [
            {
                "name": event["name"],
                "timeUnixNano": str(END_NS),
                "attributes": key_values(event.get("attributes", {})),
            }
            for event in span.get("events", [])
        ],
    }
    if "status" in span:
        encoded["status"] = span["status"]
    return encoded


def json_export(compact: dict[str, Any]) -> dict[str, Any]:
    scope = compact.get("scope", {})
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": key_values(compact.get("resource", {}))},
                "scopeSpans": [
                    {
                        "scope": {
                            "name": scope.get("name", ""),
                            "version": scope.get("version", ""),
                            "attributes": key_values(scope.get("attributes", {})),
                        },
                        "spans": [json_span(s, i) for i, s in enumerate(compact["spans"])],
                    }
                ],
            }
        ]
    }


def json_body(compact: dict[str, Any]) -> bytes:
    return msgspec.json.encode(json_export(compact))


def protobuf_body(compact: dict[str, Any]) -> bytes:
    request = ExportTraceServiceRequest()
    for resource_spans in json_export(compact)["resourceSpans"]:
        added = request.resource_spans.add()
        fill_attributes(added.resource.attributes, resource_spans["resource"]["attributes"])
        for scope_spans in resource_spans["scopeSpans"]:
            scope = added.scope_spans.add()
            scope.scope.name = scope_spans["scope"]["name"]
            scope.scope.version = scope_spans["scope"]["version"]
            fill_attributes(scope.scope.attributes, scope_spans["scope"]["attributes"])
            for span in scope_spans["spans"]:
                fill_span(scope.spans.add(), span)
    return request.SerializeToString()


def fill_span(message: Any, span: dict[str, Any]) -> None:
    message.trace_id = bytes.fromhex(span["traceId"])
    message.span_id = bytes.fromhex(span["spanId"])
    message.parent_span_id = bytes.fromhex(span["parentSpanId"])
    message.name = span["name"]
    message.kind = span["kind"]
    message.start_time_unix_nano = int(span["startTimeUnixNano"])
    message.end_time_unix_nano = int(span["endTimeUnixNano"])
    fill_attributes(message.attributes, span["attributes"])
    for event in span["events"]:
        added = message.events.add(name=event["name"], time_unix_nano=int(event["timeUnixNano"]))
        fill_attributes(added.attributes, event["attributes"])
    status = span.get("status", {})
    message.status.code = status.get("code", 0)
    message.status.message = status.get("message", "")


def fill_attributes(messages: Any, attributes: list[dict[str, Any]]) -> None:
    for attribute in attributes:
        fill_value(messages.add(key=attribute["key"]).value, attribute["value"])


def fill_value(message: Any, value: dict[str, Any]) -> None:
    for kind, content in value.items():
        match kind:
            case "stringValue":
                message.string_value = content
            case "boolValue":
                message.bool_value = content
            case "intValue":
                message.int_value = int(content)
            case "doubleValue":
                message.double_value = float(content)
            case "bytesValue":
                message.bytes_value = msgspec.json.decode(msgspec.json.encode(content), type=bytes)
            case "arrayValue":
                message.array_value.SetInParent()
                for item in content["values"]:
                    fill_value(message.array_value.values.add(), item)
            case "kvlistValue":
                message.kvlist_value.SetInParent()
                fill_attributes(message.kvlist_value.values, content["values"])
