"""A malformed span costs itself alone, at any position, in both encodings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.errors import TooLargeError
from producers.gateway.otlp import Export, ExportLimits, decode_export, wire
from tests.producers.gateway.conftest import times_reached

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(1, 9))
MIB = 2**20


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes((*encoded, number))


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def span(
    *more: bytes, trace_id: bytes = TRACE_ID, span_id: bytes = SPAN_ID, parent: bytes = b""
) -> bytes:
    ids = (field(1, trace_id), field(2, span_id), field(4, parent))
    return b"".join((*ids, field(5, b"call"), *more))


def attribute(value: bytes) -> bytes:
    return field(9, field(1, b"key") + field(2, value))


def protobuf_export(spans: list[bytes]) -> bytes:
    scope = field(1, field(1, b"scope"))
    return field(1, field(2, scope + b"".join(field(2, each) for each in spans)))


def good_spans(count: int) -> list[bytes]:
    return [span(span_id=(number + 1).to_bytes(8, "big")) for number in range(count)]


def with_one(good: list[Any], bad: Any, position: int) -> list[Any]:
    at = position % (len(good) + 1)
    return [*good[:at], bad, *good[at:]]


def check_neighbours(export: Export, count: int, bad_id: str = SPAN_ID.hex()) -> None:
    """Check that all good spans are there in order, and the other one is there or refused."""
    ids = [each.span_id for group in export.groups for each in group.spans]
    assert len(ids) + len(export.refused) == count + 1
    good = [f"{number + 1:016x}" for number in range(count)]
    assert [each for each in ids if each in good][:count] == good or bad_id in good


wrong_length = st.binary(max_size=40).filter(lambda id_: len(id_) not in (8, 16))
truncated = st.sampled_from([b"\xff", b"\x0a\xff", b"\x0a\x05abc", b"\x08", b"\x3f", b"\x0b\x00"])
malformed_protobuf = st.one_of(
    st.builds(lambda id_: (span(trace_id=id_), "traceId"), wrong_length),
    st.just((span(trace_id=bytes(16)), "traceId is all zeros")),
    st.builds(lambda id_: (span(span_id=id_), "spanId"), wrong_length),
    st.just((span(span_id=bytes(8)), "spanId is all zeros")),
    st.builds(
        lambda id_: (span(parent=id_), "parentSpanId"), wrong_length.filter(lambda id_: id_ != b"")
    ),
    st.just((span()[len(field(1, TRACE_ID)) :], "traceId")),  # it is missing
    st.just((span(trace_id=b"") + b"\x08\x05", "traceId")),  # it is a number
    st.builds(
        lambda wrap, broken: (span(wrap(broken)), "protobuf"),
        st.sampled_from(
            [
                attribute,
                lambda broken: attribute(field(5, field(1, broken))),  # an item of an array
                lambda broken: attribute(field(6, field(1, broken))),  # a pair of a list of pairs
                lambda broken: field(9, broken),
                lambda broken: field(11, broken),  # an event
                lambda broken: field(11, field(3, broken)),
                lambda broken: field(15, broken),  # the status
                lambda broken: broken,
            ]
        ),
        truncated,
    ),
)


@given(malformed_protobuf, st.integers(0, 5), st.integers(0, 5))
def test_a_malformed_span_in_protobuf_is_refused_alone_and_named(
    malformed: tuple[bytes, str], count: int, position: int
) -> None:
    bad, message = malformed
    body = protobuf_export(with_one(good_spans(count), bad, position))
    export = decode_export(body, PROTOBUF, ExportLimits())

    (refused,) = export.refused
    place = f"resourceSpans[0].scopeSpans[0].spans[{position % (count + 1)}]"
    assert refused.place == place
    assert refused.detail.startswith(place)
    assert message in refused.detail
    assert [each.span_id for each in export.groups[0].spans] == [
        f"{number + 1:016x}" for number in range(count)
    ]


@given(st.binary(max_size=80), st.integers(0, 5), st.integers(0, 5))
def test_no_bytes_in_place_of_a_span_cost_its_neighbours(
    noise: bytes, count: int, position: int
) -> None:
    for bad in (noise, span(noise), span(attribute(noise)), span(field(11, noise))):
        body = protobuf_export(with_one(good_spans(count), bad, position))
        check_neighbours(decode_export(body, PROTOBUF, ExportLimits()), count)


@pytest.mark.parametrize("position", [0, 1, 3])
@pytest.mark.parametrize("size", [MIB, 3 * MIB])
def test_a_large_malformed_span_costs_itself_alone(position: int, size: int) -> None:
    text = attribute(field(1, b"x" * size))
    good = [span(text, span_id=bytes([number + 1]) * 8) for number in range(3)]
    body = protobuf_export(with_one(good, span(text, b"\x0a\x7f"), position))
    export = decode_export(body, PROTOBUF, ExportLimits())

    assert [each.span_id for each in export.groups[0].spans] == ["01" * 8, "02" * 8, "03" * 8]
    (refused,) = export.refused
    assert f"spans[{position}] contains invalid protobuf" in refused.detail


def test_a_span_of_too_many_fields_costs_itself_alone() -> None:
    before = times_reached("fields_max")
    huge = span(b"\x5a\x00" * (MIB // 2 + 1))
    hidden = span(field(11, field(3, b"") * MIB))
    good = good_spans(3)
    body = protobuf_export([good[0], huge, good[1], hidden, good[2]])
    export = decode_export(body, PROTOBUF, ExportLimits())

    assert len(export.groups[0].spans) == 3
    assert [(each.reason, each.place[-8:]) for each in export.refused] == [
        ("event_too_large", "spans[1]"),
        ("event_too_large", "spans[3]"),
    ]
    assert times_reached("fields_max") == before + 2


def test_an_export_of_many_such_spans_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "FIELDS_MAX", 1_000)
    huge = span(b"\x5a\x00" * (MIB // 2 + 1))
    with pytest.raises(TooLargeError, match="values in one export"):
        decode_export(protobuf_export([huge] * 3), PROTOBUF, ExportLimits(values_max=200_000))


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=40),
        st.text("0123456789abcdefAF+/=", max_size=40),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["key", "value", "stringValue", "arrayValue", "values", "bytesValue", "data"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)
MEMBERS = (
    "traceId", "spanId", "parentSpanId", "name", "startTimeUnixNano", "endTimeUnixNano",
    "attributes", "events", "status", "links", "kind", "flags",
)  # fmt: skip


def json_span(number: int) -> dict[str, Any]:
    return {"traceId": TRACE_ID.hex(), "spanId": f"{number + 1:016x}", "name": "call"}


def json_export(spans: list[bytes]) -> bytes:
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b",".join(spans) + b"]}]}]}"


@given(st.sampled_from(MEMBERS), json_values, st.integers(0, 5), st.integers(0, 5))
def test_no_value_of_a_member_of_a_json_span_costs_its_neighbours(
    member: str, value: Any, count: int, position: int
) -> None:
    bad = json_span(0) | {"spanId": SPAN_ID.hex(), member: value}
    spans = with_one([json_span(number) for number in range(count)], bad, position)
    body = json_export([json.dumps(each).encode() for each in spans])
    check_neighbours(decode_export(body, JSON, ExportLimits()), count, str(bad["spanId"]))


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("traceId", None, "traceId is missing"),
        ("traceId", "0" * 32, "traceId is all zeros"),
        ("traceId", "ab" * 15, "traceId is not an id of 16 bytes"),
        ("traceId", "not-hex", "traceId is not an id of 16 bytes"),
        ("spanId", None, "spanId is missing"),
        ("spanId", "", "spanId is not an id of 8 bytes"),
        ("spanId", "0" * 16, "spanId is all zeros"),
        ("parentSpanId", "abc", "parentSpanId is not an id of 8 bytes"),
        ("attributes", {}, "attributes is not an array"),
        ("events", "x", "events is not an array"),
        ("events", [None], "events[0] is not an object"),
    ],
)
def test_a_malformed_json_span_is_named(member: str, value: Any, message: str) -> None:
    spans = [json_span(0), json_span(1) | {member: value}, json_span(2)]
    body = json_export([json.dumps(each).encode() for each in spans])
    export = decode_export(body, JSON, ExportLimits())

    assert [each.span_id[-1] for each in export.groups[0].spans] == ["1", "3"]
    (refused,) = export.refused
    assert refused.detail == f"resourceSpans[0].scopeSpans[0].spans[1].{message}"
    assert json.loads(refused.payload) == spans[1]


@given(st.binary(min_size=1, max_size=4), st.integers(0, 3))
def test_no_bytes_in_a_text_of_a_json_span_cost_its_neighbours(noise: bytes, position: int) -> None:
    noise = bytes(byte for byte in noise if byte >= 32 and byte not in b'"\\')
    good = [json.dumps(json_span(number)).encode() for number in range(3)]
    bad = json.dumps(json_span(9) | {"spanId": SPAN_ID.hex()}).encode().replace(b"call", noise)
    body = json_export(with_one(good, bad, position))
    check_neighbours(decode_export(body, JSON, ExportLimits()), 3)
