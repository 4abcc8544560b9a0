"""OTLP bodies, protobuf and JSON, good and bad."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from producers.errors import BodyError, TooLargeError
from producers.gateway.otlp import ExportedSpan, ExportLimits, decode_export
from producers.gateway.otlp.limiter import CUT_MARK, TOO_DEEP
from tests.producers.gateway.mapping.compact import (
    TRACE_ID,
    json_body,
    json_export,
    protobuf_body,
    span_id_of,
)

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
ENCODINGS = [(protobuf_body, PROTOBUF), (json_body, JSON)]


def decoded(body: bytes, content_type: str, limits: ExportLimits | None = None) -> ExportedSpan:
    export = decode_export(body, content_type, limits or ExportLimits())
    return export.groups[0].spans[0]


def json_with(change: Callable[[dict[str, Any]], Any], **span: Any) -> bytes:
    """A JSON export of one span, changed."""
    export = json_export({"spans": [span]})
    change(export["resourceSpans"][0]["scopeSpans"][0]["spans"][0])
    return msgspec.json.encode(export)


@pytest.mark.parametrize(("encode", "content_type"), ENCODINGS)
def test_every_kind_of_value_is_read(encode: Any, content_type: str) -> None:
    attributes = {
        "text": "héllo 🌍",
        "long": "x" * 200,
        "longer": "é" * 20_000,
        "empty": "",
        "int": -(2**63),
        "double": 0.1,
        "true": True,
        "false": False,
        "bytes": b"\x00\xff",
        "array": ["a", 1, [2.5, None], {"k": [True]}],
        "map": {"a": {"b": "c"}, "n": 1},
        "nothing": None,
        "k" * 300: "a key of more than 127 bytes",
        "k" * 127: "v" * 127,
        "k" * 126: "v" * 126,
        "": "no key",
    }
    span = decoded(encode({"spans": [{"attributes": attributes}]}), content_type)
    assert span.attributes == attributes | {"bytes": base64.b64encode(b"\x00\xff").decode()}


@pytest.mark.parametrize("length", [*range(120, 136), 16_375, 16_383, 16_384, 16_390])
def test_texts_of_every_length_are_sliced_out_whole(length: int) -> None:
    for key in ("k", "a.longer.key"):
        body = protobuf_body({"spans": [{"attributes": {key: "x" * length}}]})
        assert decoded(body, PROTOBUF).attributes == {key: "x" * length}


def test_numbers_that_json_cannot_hold_become_their_names() -> None:
    values = [float("nan"), float("inf"), float("-inf")]
    body = protobuf_body({"spans": [{"attributes": {"values": values}}]})
    assert decoded(body, PROTOBUF).attributes == {"values": ("NaN", "Infinity", "-Infinity")}


def test_wrong_utf8_does_not_cost_the_export() -> None:
    body = protobuf_body({"spans": [{"name": "abcd", "attributes": {"k": "efgh"}}]})
    span = decoded(body.replace(b"abcd", b"ab\xffd").replace(b"efgh", b"e\xfegh"), PROTOBUF)
    assert (span.name, span.attributes) == ("ab\ufffdd", {"k": "e\ufffdgh"})


@pytest.mark.parametrize(
    "trace_id",
    [
        TRACE_ID,
        TRACE_ID.upper(),
        base64.b64encode(bytes.fromhex(TRACE_ID)).decode(),
        {"type": "Buffer", "data": list(bytes.fromhex(TRACE_ID))},
        {str(i): b for i, b in enumerate(bytes.fromhex(TRACE_ID))},
    ],
)
def test_json_ids_may_be_hex_base64_or_buffers(trace_id: Any) -> None:
    assert decoded(json_with(lambda s: s.update(traceId=trace_id)), JSON).trace_id == TRACE_ID


@pytest.mark.parametrize("parent", ["", None, "0000000000000000"])
def test_a_missing_parent_has_several_encodings(parent: Any) -> None:
    assert decoded(json_with(lambda s: s.update(parentSpanId=parent)), JSON).parent_id is None


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        ({"intValue": 7}, 7),
        ({"intValue": "-7"}, -7),
        ({"intValue": {"low": 7, "high": 1, "unsigned": False}}, 7 + (1 << 32)),
        ({"intValue": {"low": -1, "high": -1, "unsigned": False}}, -1),
        ({"intValue": "seven"}, "seven"),
        ({"doubleValue": "NaN"}, "NaN"),
        ({"doubleValue": 3}, 3.0),
        ({"bytesValue": {"type": "Buffer", "data": [1, 2]}}, "AQI="),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a"}, {"key": 3}, "x"]}}, {"a": None}),
        ({"stringValue": 5}, None),
        ({}, None),
        ("naked", None),
    ],
)
def test_json_values_are_read_leniently(value: Any, attribute: Any) -> None:
    body = json_with(lambda s: s.update(attributes=[{"key": "k", "value": value}, "noise", {}]))
    assert decoded(body, JSON).attributes == {"k": attribute}


@pytest.mark.parametrize(
    ("time", "start_ns"),
    [("1700000000000000000", 1_700_000_000_000_000_000), (17, 17), ("x", 0), (None, 0), (-1, 0)],
)
def test_json_times_are_strings_or_numbers_and_else_missing(time: Any, start_ns: int) -> None:
    assert decoded(json_with(lambda s: s.update(startTimeUnixNano=time)), JSON).start_ns == start_ns


SPAN = "resourceSpans[0].scopeSpans[0].spans[0]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"traceId": None}, f"{SPAN}.traceId is missing"),
        ({"traceId": 5}, f"{SPAN}.traceId is not an id of 16 bytes"),
        ({"traceId": "abc"}, f"{SPAN}.traceId is not an id of 16 bytes"),
        ({"traceId": "0" * 32}, f"{SPAN}.traceId is all zeros"),
        ({"spanId": TRACE_ID}, f"{SPAN}.spanId is not an id of 8 bytes"),
        ({"parentSpanId": "xyz"}, f"{SPAN}.parentSpanId is not an id of 8 bytes"),
        ({"attributes": {}}, f"{SPAN}.attributes is not an array"),
        ({"events": "x"}, f"{SPAN}.events is not an array"),
        ({"events": [1]}, f"{SPAN}.events[0] is not an object"),
    ],
)
def test_a_malformed_span_is_set_aside_and_its_place_named(
    change: dict[str, Any], message: str
) -> None:
    body = json_with(lambda span: span.update(change))
    export = decode_export(body, JSON, ExportLimits())

    assert export.span_count == 0
    (refused,) = export.refused
    assert (refused.place, refused.reason, refused.detail) == (SPAN, "invalid_span", message)
    assert json.loads(refused.payload).items() >= change.items()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[]", "the body is not a JSON object"),
        (b'{"resourceSpans": {}}', "resourceSpans is not an array"),
        (b'{"resourceSpans": [1]}', "resourceSpans[0] is not an object"),
        (b'{"resourceSpans": [{"scopeSpans": 1}]}', "resourceSpans[0].scopeSpans is not an array"),
        (
            b'{"resourceSpans": [{"scopeSpans": [{"spans": "x"}]}]}',
            "resourceSpans[0].scopeSpans[0].spans is not an array",
        ),
        (b'{"resourceSpans":' + b"[" * 100_000, "the body is not JSON"),
    ],
)
def test_a_malformed_json_body_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(BodyError, match=message.replace("[", r"\[")):
        decode_export(body, JSON, ExportLimits())


def test_malformed_protobuf_is_refused() -> None:
    with pytest.raises(BodyError, match="not an OTLP trace export"):
        decode_export(b"not protobuf", PROTOBUF, ExportLimits())


def test_protobuf_that_is_broken_within_a_span_costs_that_span() -> None:
    good = protobuf_body({"spans": [{"attributes": {"k": [1]}}, {}]})
    inner = good.index(b"k\x12") + 3
    body = good[:inner] + b"\xff" + good[inner + 1 :]
    export = decode_export(body, PROTOBUF, ExportLimits())

    assert export.span_count == 1
    (refused,) = export.refused
    assert (refused.place, refused.reason) == (SPAN, "invalid_span")
    assert "invalid protobuf" in refused.detail


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("trace_id", b"", "traceId has 0 bytes, not 16"),
        ("trace_id", bytes(16), "traceId is all zeros"),
        ("span_id", b"1234567", "spanId has 7 bytes, not 8"),
        ("span_id", bytes(8), "spanId is all zeros"),
        ("parent_span_id", b"123", "parentSpanId has 3 bytes, not 8"),
    ],
)
def test_protobuf_ids_have_their_length(field: str, value: bytes, message: str) -> None:
    request = ExportTraceServiceRequest()
    request.ParseFromString(protobuf_body({"spans": [{}, {}]}))
    setattr(request.resource_spans[0].scope_spans[0].spans[1], field, value)
    export = decode_export(request.SerializeToString(), PROTOBUF, ExportLimits())

    assert export.span_count == 1
    (refused,) = export.refused
    assert refused.detail == f"resourceSpans[0].scopeSpans[0].spans[1].{message}"


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/grpc"])
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(BodyError, match="Invalid content type"):
        decode_export(b"", content_type, ExportLimits())


@pytest.mark.parametrize(("encode", "content_type"), ENCODINGS)
def test_an_empty_export_is_empty(encode: Any, content_type: str) -> None:
    assert decode_export(encode({"spans": []}), content_type, ExportLimits()).span_count == 0
    empty = b"" if content_type == PROTOBUF else b'{"resourceSpans": []}'
    assert decode_export(empty, content_type, ExportLimits()).groups == []


@pytest.mark.parametrize(("encode", "content_type"), ENCODINGS)
def test_too_many_spans_refuse_the_export(encode: Any, content_type: str) -> None:
    spans = [{"span_id": span_id_of(i)} for i in range(4)]
    limits = ExportLimits(spans_max=3)
    assert decode_export(encode({"spans": spans[:3]}), content_type, limits).span_count == 3
    with pytest.raises(TooLargeError, match="more than 3 spans"):
        decode_export(encode({"spans": spans}), content_type, limits)


@pytest.mark.parametrize(("encode", "content_type"), ENCODINGS)
def test_what_is_above_a_limit_is_cut_and_counted(encode: Any, content_type: str) -> None:
    nested: Any = "deep"
    for _ in range(6):
        nested = [nested]
    span = {
        "attributes": {"text": "x" * 300, "nested": nested, "third": 1, "fourth": 2},
        "events": [{"name": f"e{n}"} for n in range(3)],
    }
    limits = ExportLimits(attributes_max=3, events_max=2, value_chars_max=200, depth_max=4)
    export = decode_export(encode({"spans": [span]}), content_type, limits)
    found = export.groups[0].spans[0]
    assert found.attributes == {
        "text": "x" * 200 + CUT_MARK,
        "nested": [[[(TOO_DEEP,)]]],
        "third": 1,
    }
    assert [event.name for event in found.events] == ["e0", "e1"]
    assert export.limits_reached == {
        "attributes_max": 1,
        "events_max": 1,
        "value_chars_max": 1,
        "depth_max": 1,
    }
