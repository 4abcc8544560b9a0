"""What the OpenTelemetry SDK for Python itself encodes."""

from __future__ import annotations

import time

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from producers.gateway.otlp import ExportLimits, decode_export
from tests.fixtures.exports import map_export
from tracemill.contract import Observation


def exported(exporter: InMemorySpanExporter) -> dict[str, Observation]:
    body = encode_spans(exporter.get_finished_spans()).SerializeToString()
    export = decode_export(body, "application/x-protobuf", ExportLimits())
    mapped = map_export(export, "p1", time.time_ns() // 1000)
    assert mapped.refusals == []
    return {observation.name or "": observation for observation in mapped.observations}


def test_a_trace_of_the_sdk_is_read_back_as_it_was() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop", "service.version": "1"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("my.app", "2.0")
    with tracer.start_as_current_span("root", attributes={"user.id": "u1"}) as root:
        with tracer.start_as_current_span(
            "chat m",
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "m",
                "gen_ai.request.stop_sequences": ["a", "b"],
                "gen_ai.request.temperature": 0.5,
                "gen_ai.usage.input_tokens": 12,
                "gen_ai.usage.output_tokens": 3,
                "stream": True,
            },
        ) as chat:
            chat.add_event("gen_ai.user.message", {"content": "hi"})
            chat.add_event("gen_ai.choice", {"index": 0, "message": "yo"})
        with pytest.raises(ValueError, match="boom"), tracer.start_as_current_span("tool"):
            raise ValueError("boom")

    found = exported(exporter)
    context, times = root.get_span_context(), root.start_time or 0
    assert found["root"].trace_id == f"{context.trace_id:032x}"
    assert found["root"].id == found["chat m"].parent_id == f"{context.span_id:016x}"
    assert (found["root"].parent_id, found["root"].start_us) == (None, times // 1000)
    assert found["root"].trace is not None
    assert (found["root"].trace.user_id, found["root"].trace.version) == ("u1", "1")

    generation = found["chat m"]
    assert (generation.type, generation.model, generation.level) == ("GENERATION", "m", "DEFAULT")
    assert generation.usage == {"input": 12, "output": 3}
    assert generation.model_parameters == '{"stop_sequences":["a","b"],"temperature":0.5}'
    assert generation.input == '[{"role":"user","content":"hi"}]'
    assert generation.output == '{"index":0,"message":"yo"}'
    assert '"stream":true' in (generation.metadata or "")
    assert generation.service_name == "shop"
    assert (generation.scope_name, generation.scope_version) == ("my.app", "2.0")

    assert (found["tool"].level, found["tool"].status_message) == ("ERROR", "ValueError: boom")
