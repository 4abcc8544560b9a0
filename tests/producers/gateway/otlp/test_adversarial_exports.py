"""Exports made to cost time or memory: they are mapped in slices, and little is kept of them."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from producers.gateway.mapping import Mapped, map_in_slices, mapper, plan
from producers.gateway.otlp import Export, ExportLimits, decode_export, protobuf_decoder
from tests.fixtures.exports import map_export
from tests.producers.gateway.conftest import times_reached
from tests.producers.gateway.mapping.compact import (
    RECEIVED_US,
    json_body,
    protobuf_body,
    span_id_of,
)

MIB = 1024 * 1024


def export_of(compact: dict[str, Any], *, as_json: bool = False) -> Export:
    if as_json:
        return decode_export(json_body(compact), "application/json", ExportLimits())
    return decode_export(protobuf_body(compact), "application/x-protobuf", ExportLimits())


def mapped(compact: dict[str, Any], *, as_json: bool = False) -> Mapped:
    return map_export(export_of(compact, as_json=as_json), "p1", RECEIVED_US)


def test_a_large_export_is_mapped_slice_by_slice() -> None:
    few = {"spans": [{"span_id": f"{n + 1:016x}"} for n in range(2_000)]}
    many = {"spans": [{"attributes": {f"k{n}.{k}": 1 for k in range(1_500)}} for n in range(10)]}
    for compact, spans_max in ((few, mapper.SLICE_ATTRIBUTES_MAX), (many, 3)):
        export = export_of(compact)
        slices = [*map_in_slices(export, "p1", RECEIVED_US)]

        assert len(slices) > 3
        assert all(0 < len(part.observations) <= spans_max for part in slices)
        ids = [observation.id for part in slices for observation in part.observations]
        assert ids == [span_id_of(index) for index in range(len(compact["spans"]))]


def test_endless_new_shapes_are_mapped_all_the_same_and_few_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "PLANS_MAX_BYTES", 100_000)
    before = times_reached("plans_max_bytes")
    spans = [{"attributes": {f"key {n}": n}, "span_id": f"{n + 1:016x}"} for n in range(200)]
    found = mapped({"spans": spans}).observations

    metadata = [json.loads(observation.metadata or "") for observation in found]
    assert [each["attributes"] for each in metadata] == [{f"key {n}": n} for n in range(200)]
    assert times_reached("plans_max_bytes") >= before + 4


def test_endless_new_origins_are_mapped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protobuf_decoder._origins, "max_bytes", 100_000)
    monkeypatch.setattr(mapper._facts, "max_bytes", 100_000)
    limits = ("cached_origins_max_bytes", "origins_max_bytes")
    before = [times_reached(limit) for limit in limits]
    for number in range(300):
        compact = {"resource": {"service.name": f"s{number}"}, "spans": [{}]}
        (observation,) = mapped(compact).observations
        assert observation.service_name == f"s{number}"

    assert all(times_reached(limit) > count for limit, count in zip(limits, before, strict=True))


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("part", ["resource", "scope", "keys", "trace keys"])
def test_nothing_large_is_kept_for_the_next_export(part: str, as_json: bool) -> None:
    def compact(number: int) -> dict[str, Any]:
        text = f"{number}" + "x" * MIB
        if part == "resource":
            return {"resource": {"k": text}, "spans": [{}]}
        if part == "scope":
            return {"scope": {"name": "s", "attributes": {"k": text}}, "spans": [{}]}
        prefix = "langfuse.trace.metadata." if part == "trace keys" else ""
        return {"spans": [{"attributes": {prefix + text: "v"}}]}

    mapped(compact(0), as_json=as_json)
    tracemalloc.start()
    for number in range(1, 12):
        mapped(compact(number), as_json=as_json)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 2 * MIB


def test_the_attributes_of_a_resource_are_decoded_once_for_all_its_scopes() -> None:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="k").value.string_value = "x" * 100_000
    for number in range(3):
        resource_spans.scope_spans.add().scope.name = f"scope {number}"

    body = request.SerializeToString()
    groups = decode_export(body, "application/x-protobuf", ExportLimits()).groups

    assert [group.origin.scope_name for group in groups] == ["scope 0", "scope 1", "scope 2"]
    assert len({id(group.origin.resource) for group in groups}) == 1
