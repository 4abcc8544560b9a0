"""What SDKs and instrumentations of every convention send, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.gateway.otlp import ExportLimits, decode_export
from producers.langfuse_sdk import Sdk
from tests.fixtures.exports import map_export
from tests.producers.gateway.mapping.compact import RECEIVED_US, json_body, protobuf_body
from tracemill.contract import Observation

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
OF_EVERY_SPAN = ("project_id", "trace_id", "id", "ts_us", "start_us", "end_us", "parent_id", "kind")


def readable(observation: Observation) -> dict[str, Any]:
    """An observation without what all spans have, and with its JSON texts as objects."""
    fields: dict[str, Any] = msgspec.to_builtins(observation)
    for name in OF_EVERY_SPAN:
        fields.pop(name, None)
    fields["metadata"] = json.loads(fields["metadata"])
    for name in ("resourceAttributes", "scope"):
        del fields["metadata"][name]
    if "model_parameters" in fields:
        fields["model_parameters"] = json.loads(fields["model_parameters"])
    if "metadata" in fields.get("trace", {}):
        fields["trace"]["metadata"] = json.loads(fields["trace"]["metadata"])
    return fields


def observations(body: bytes, content_type: str) -> list[Observation]:
    export = decode_export(body, content_type, ExportLimits())
    mapped = map_export(export, "p1", RECEIVED_US, Sdk())
    assert mapped.refusals == []
    return mapped.observations


def observed(compact: dict[str, Any]) -> list[dict[str, Any]]:
    found = observations(protobuf_body(compact), "application/x-protobuf")
    builtins: list[dict[str, Any]] = json.loads(
        msgspec.json.encode([readable(observation) for observation in found])
    )
    return builtins


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_spans_become_the_observations_that_their_convention_means(path: Path) -> None:
    fixture = json.loads(path.read_text())
    assert observed(fixture["export"]) == fixture["expected"]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_protobuf_and_json_of_one_export_are_the_same(path: Path) -> None:
    compact = json.loads(path.read_text())["export"]
    from_protobuf = observations(protobuf_body(compact), "application/x-protobuf")
    from_json = observations(json_body(compact), "application/json; charset=utf-8")
    assert from_json == from_protobuf
