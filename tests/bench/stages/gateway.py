"""Measure the gateway without sockets and Kafka: decode an export, map spans, encode events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from producers.gateway.otlp import ExportLimits, decode_export
from producers.gateway.otlp.schema import (
    KeyValueMessage,
    ResourceMessage,
    ScopeMessage,
    ScopeSpansMessage,
)
from tests.bench.stages import Cost
from tests.fixtures.exports import map_export
from tracemill.contract import encode_event

SPANS = 104
SPANS_OF_TRACE = 8
ROUNDS = 400
LIMITS = ExportLimits()
Attributes = dict[str, str | int]


def langfuse_span(index: int) -> Attributes:
    return {
        "user.id": f"user-{index // SPANS_OF_TRACE}",
        "session.id": f"session-{index // SPANS_OF_TRACE}",
        "langfuse.trace.name": "rag",
        "langfuse.environment": "production",
        "langfuse.release": "v1.2.3",
        "langfuse.version": "7",
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "gpt-4o-mini",
        "langfuse.observation.model.parameters": '{"temperature": 0.2, "max_tokens": 512}',
        "langfuse.observation.usage_details": json.dumps({"input": 800 + index, "output": index}),
        "langfuse.observation.input": json.dumps(
            [{"role": "user", "content": f"Question {index}: what does the manual say of this?"}]
        ),
        "langfuse.observation.output": json.dumps(
            {"role": "assistant", "content": f"Answer {index}: it says a great deal, in part two."}
        ),
        "langfuse.observation.metadata.chunk": f"chunk-{index}",
        "langfuse.observation.level": "DEFAULT",
    }


def gen_ai_span(index: int) -> Attributes:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.system": "openai",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{index:08x}",
        "gen_ai.request.max_tokens": 512,
        "gen_ai.usage.input_tokens": 800 + index,
        "gen_ai.usage.output_tokens": index,
        "gen_ai.usage.cache_read.input_tokens": 256,
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": f"Question {index}?"}]}]
        ),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": f"Answer {index}."}]}]
        ),
        "server.address": "api.example.com",
        "user.id": f"user-{index // SPANS_OF_TRACE}",
    }


def key_value(key: str, value: str | int) -> bytes:
    message = KeyValueMessage(key=key.encode())
    if isinstance(value, int):
        message.value.int_value = value
    else:
        message.value.string_value = value.encode()
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def export_of(scope: str, attributes_of: Callable[[int], Attributes]) -> bytes:
    now_ns = time.time_ns()
    resource = ResourceMessage(
        attributes=[
            key_value("service.name", "bench"),
            key_value("telemetry.sdk.language", "python"),
            key_value("telemetry.sdk.name", "opentelemetry"),
        ]
    )
    scope_message = ScopeMessage(name=scope.encode(), version=b"4.18.0")
    scope_spans = ScopeSpansMessage(scope=scope_message.SerializeToString())
    for index in range(SPANS):
        scope_spans.spans.add(
            trace_id=(index // SPANS_OF_TRACE + 1).to_bytes(16, "big"),
            span_id=(index + 1).to_bytes(8, "big"),
            parent_span_id=(index // SPANS_OF_TRACE + 1).to_bytes(8, "big"),
            name=b"answer",
            start_ns=now_ns - 10**9,
            end_ns=now_ns,
            attributes=[key_value(*item) for item in attributes_of(index).items()],
        )
    groups = [(0x0A, resource.SerializeToString()), (0x12, scope_spans.SerializeToString())]
    return field(0x0A, b"".join(field(tag, content) for tag, content in groups))


def field(tag: int, content: bytes) -> bytes:
    """A protobuf field of less than 2 MiB, its length as a varint of three bytes."""
    size = len(content)
    return bytes((tag, size & 127 | 128, size >> 7 & 127 | 128, size >> 14)) + content


def best_us_per_span(work: Callable[[], object]) -> float:
    best_s = float("inf")
    for _ in range(ROUNDS):  # short ones, of which the best has not been disturbed by neighbours
        started_s = time.process_time()
        work()
        best_s = min(best_s, time.process_time() - started_s)
    return best_s / SPANS * 1e6


def costs() -> list[Cost]:
    return [
        *_costs_of("langfuse spans", "langfuse-sdk", langfuse_span),
        *_costs_of("gen_ai spans", "opentelemetry.instrumentation.openai", gen_ai_span),
    ]


def _costs_of(
    name: str, scope: str, attributes_of: Callable[[int], Attributes]
) -> tuple[Cost, ...]:
    body = export_of(scope, attributes_of)
    received_us = time.time_ns() // 1000
    export = decode_export(body, "application/x-protobuf", LIMITS)
    observations = map_export(export, "default", received_us).observations
    decode_us = best_us_per_span(lambda: decode_export(body, "application/x-protobuf", LIMITS))
    map_us = best_us_per_span(lambda: map_export(export, "default", received_us))
    encode_us = best_us_per_span(lambda: [encode_event(each) for each in observations])
    size = f"{name}, {len(body) // SPANS} B"
    return (
        Cost("gateway", f"decode {size}", decode_us),
        Cost("gateway", f"map {name}", map_us),
        Cost("gateway", f"encode {name}", encode_us),
    )
