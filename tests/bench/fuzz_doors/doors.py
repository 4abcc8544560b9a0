"""Define the endpoints: valid bodies, how they are mutated, and the allowed answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import quote

from tests.bench.fuzz_doors.extremes import BROKEN_FRAGMENTS, JSON_FRAGMENTS
from tests.bench.fuzz_doors.mutations import (
    field_of,
    mutated_bytes,
    mutated_json,
    mutated_message,
)
from tests.bench.stages.gateway import export_of, gen_ai_span, langfuse_span
from tests.bench.stages.gateway import key_value as encoded_key_value
from tests.producers.gateway.mapping.compact import key_values

JSON_TYPE: Final = "application/json"
PROTOBUF_TYPE: Final = "application/x-protobuf"
GOOD_ID: Final = "00000000feedbeef"
GOOD_TRACE: Final = "0123456789abcdef0123456789abcdef"
SCOPES: Final = ("langfuse-sdk", "ai", "genkit-tracer", "pydantic-ai", "gcp.vertex.agent", "other")


@dataclass(frozen=True, slots=True)
class Mutation:
    """A body to send."""

    body: bytes
    path: str
    content_type: str = JSON_TYPE
    expects: str = ""
    """Id of an item that must be accepted, unless the request as a whole is above a limit."""
    method: str = "POST"
    query: bytes = b""


Door = Callable[[Random], Mutation]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _attributes(chance: Random) -> dict[str, Any]:
    number = chance.randrange(50)
    kinds: tuple[Callable[[int], dict[str, Any]], ...] = (langfuse_span, gen_ai_span, _vercel_span)
    attributes = dict(chance.choice(kinds)(number))
    if chance.random() < 0.3:
        attributes["langfuse.observation.cost_details"] = '{"input": 0.1, "total": 0.25}'
    return attributes


def _vercel_span(number: int) -> dict[str, Any]:
    return {
        "ai.operationId": "ai.generateText.doGenerate",
        "operation.name": "ai.generateText.doGenerate answer",
        "ai.model.id": "gpt-4o-mini",
        "ai.usage.promptTokens": 100 + number,
        "ai.usage.completionTokens": number,
        "ai.response.msToFirstChunk": 12.5,
        "ai.response.providerMetadata": '{"openai": {"cachedPromptTokens": 3}}',
        "ai.prompt.messages": '[{"role": "user", "content": "Why?"}]',
        "ai.response.text": "Because.",
        "ai.telemetry.metadata.tags": ["a", "b"],
        "gen_ai.prompt.0.content": "Why?",
        "llm.cost.total": 0.5,
        "nested": {"a": [1, 2.5, None, {"b": True}]},
    }


def _json_span(attributes: dict[str, Any], span_id: str) -> dict[str, Any]:
    now_ns = time.time_ns()
    return {
        "traceId": GOOD_TRACE,
        "spanId": span_id,
        "parentSpanId": "00f067aa0ba902b7",
        "name": "answer",
        "kind": 1,
        "startTimeUnixNano": str(now_ns - 10**9),
        "endTimeUnixNano": str(now_ns),
        "attributes": key_values(attributes),
        "events": [{"name": "gen_ai.choice", "timeUnixNano": str(now_ns), "attributes": []}],
        "status": {"code": 2, "message": "no"},
    }


def otlp_json(chance: Random) -> Mutation:
    span = _json_span(_attributes(chance), "00000000000000aa")
    good = json.dumps(_json_span({"k": "v"}, GOOD_ID)).encode()
    scope = json.dumps({"name": chance.choice(SCOPES), "version": "4.1.0"}).encode()
    if chance.random() < 0.7:
        other = mutated_json(span, chance)
        spans = good + b"," + other if chance.random() < 0.5 else other + b"," + good
        return Mutation(_json_export(scope, spans), "/v1/traces", expects=GOOD_ID)
    encoded = json.dumps(span).encode()
    if chance.random() < 0.3:
        encoded = chance.choice(BROKEN_FRAGMENTS)
    body = mutated_bytes(_json_export(scope, encoded + b"," + good), chance)
    return Mutation(body, "/v1/traces")


def _json_export(scope: bytes, spans: bytes) -> bytes:
    return (
        b'{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{"scope":'
        + scope
        + b',"spans":['
        + spans
        + b"]}]}]}"
    )


def otlp_protobuf(chance: Random) -> Mutation:
    scope = field_of(1, 2, chance.choice(SCOPES).encode())
    good = field_of(2, 2, _protobuf_span({"k": "v"}, bytes.fromhex(GOOD_ID)))
    if chance.random() < 0.7:
        span = mutated_message(_protobuf_span(_attributes(chance), b"\0" * 7 + b"\1"), chance)
        scope_spans = field_of(1, 2, scope) + field_of(2, 2, span) + good
        body = field_of(1, 2, field_of(2, 2, scope_spans))
        return Mutation(body, "/v1/traces", PROTOBUF_TYPE, expects=GOOD_ID)
    body = _EXPORTS[chance.randrange(len(_EXPORTS))]
    mutate = chance.choice((mutated_bytes, mutated_message))
    return Mutation(mutate(body, chance), "/v1/traces", PROTOBUF_TYPE)


def _protobuf_span(attributes: dict[str, Any], span_id: bytes) -> bytes:
    now_ns = time.time_ns()
    plain = {k: v if isinstance(v, str | int) else json.dumps(v) for k, v in attributes.items()}
    event = field_of(1, 1, now_ns.to_bytes(8, "little")) + field_of(2, 2, b"gen_ai.choice")
    return b"".join(
        (
            field_of(1, 2, bytes.fromhex(GOOD_TRACE)),
            field_of(2, 2, span_id),
            field_of(5, 2, b"answer"),
            field_of(7, 1, (now_ns - 10**9).to_bytes(8, "little")),
            field_of(8, 1, now_ns.to_bytes(8, "little")),
            *(field_of(9, 2, encoded_key_value(*item)) for item in plain.items()),
            field_of(11, 2, event),
            field_of(15, 2, field_of(2, 2, b"no") + b"\x18\x02"),
        )
    )


_EXPORTS: Final = tuple(
    export_of(scope, kind)[:40_000] for scope in SCOPES[:2] for kind in (langfuse_span, gen_ai_span)
)


def _events(now: str) -> tuple[dict[str, Any], ...]:
    observation = {
        "id": "obs-1",
        "traceId": "trace-1",
        "name": "answer",
        "startTime": now,
        "endTime": now,
        "completionStartTime": now,
        "model": "gpt-4o-mini",
        "modelParameters": {"temperature": 0.5, "stop": ["a"]},
        "usage": {"input": 10, "output": 5, "unit": "TOKENS", "inputCost": 0.1},
        "usageDetails": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 3}},
        "costDetails": {"total": 0.25},
        "input": [{"role": "user", "content": "Why?"}],
        "output": "Because.",
        "metadata": {"a": {"b": [1, 2.5, None]}},
        "level": "DEFAULT",
        "promptName": "p",
        "promptVersion": 3,
    }
    trace = {
        "id": "trace-1",
        "timestamp": now,
        "name": "t",
        "userId": "u",
        "tags": ["a", "b"],
        "metadata": {"k": "v"},
        "public": True,
        "input": {"q": "Why?"},
    }
    score = {"id": "s-1", "traceId": "trace-1", "name": "helpful", "value": 0.5, "comment": "c"}
    return (
        {"id": "e1", "type": "generation-create", "timestamp": now, "body": observation},
        {"id": "e2", "type": "span-update", "timestamp": now, "body": observation},
        {"id": "e3", "type": "trace-create", "timestamp": now, "body": trace},
        {"id": "e4", "type": "score-create", "timestamp": now, "body": score},
        {"id": "e5", "type": "sdk-log", "timestamp": now, "body": {"log": {"a": 1}}},
    )


def ingestion(chance: Random) -> Mutation:
    now = _now()
    event = chance.choice(_events(now))
    good = json.dumps(
        {"id": "good", "type": "trace-create", "timestamp": now, "body": {"id": GOOD_ID}}
    ).encode()
    metadata = json.dumps({"sdk_name": "python", "batch_size": 2})
    if chance.random() < 0.75:
        events = mutated_json(event, chance) + b"," + good
        if chance.random() < 0.2:
            metadata = mutated_json(json.loads(metadata), chance).decode(errors="surrogateescape")
        body = _batch(events, metadata)
        return Mutation(body, "/api/public/ingestion", expects=GOOD_ID)
    body = _batch(json.dumps(event).encode() + b"," + good, metadata)
    return Mutation(mutated_bytes(body, chance), "/api/public/ingestion")


def _batch(events: bytes, metadata: str) -> bytes:
    encoded = metadata.encode(errors="surrogateescape")
    return b'{"batch":[' + events + b'],"metadata":' + encoded + b"}"


def scores(chance: Random) -> Mutation:
    score = {
        "id": "s-1",
        "traceId": "trace-1",
        "observationId": "obs-1",
        "name": "helpful",
        "value": chance.choice((0.5, 1, "good", True)),
        "dataType": chance.choice(("NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT")),
        "timestamp": _now(),
        "metadata": {"k": [1, {"a": None}]},
        "environment": "production",
    }
    good = json.dumps({"id": GOOD_ID, "traceId": "t", "name": "n", "value": 1}).encode()
    draw = chance.random()
    if draw < 0.5:
        body = b"[" + mutated_json(score, chance) + b"," + good + b"]"
        return Mutation(body, "/api/public/scores", expects=GOOD_ID)
    body = mutated_json(score, chance)
    return Mutation(body if draw < 0.75 else mutated_bytes(body, chance), "/api/public/scores")


def deletions(chance: Random) -> Mutation:
    path, field = chance.choice((("/api/public/traces", "traceIds"), ("/v1/traces", "trace_ids")))
    good = {field: [GOOD_ID, "trace-1", "t" * 32]}
    if chance.random() < 0.3:
        body = json.dumps({**good, "other": [1, {"a": None}]}).encode()
        return Mutation(body, path, method="DELETE", expects=GOOD_ID)
    body = mutated_json(good, chance)
    body = body if chance.random() < 0.7 else mutated_bytes(body, chance)
    return Mutation(body, path, method="DELETE")


def budgets(chance: Random) -> Mutation:
    budget = {
        "name": "Ada, daily",
        "scope": {"user_id": "ada"},
        "period": "day",
        "time_zone": "Europe/Berlin",
        "limit_usd": "0.10",
        "thresholds": [0.8, 1.0],
    }
    body = mutated_json(budget, chance)
    return Mutation(body if chance.random() < 0.6 else mutated_bytes(body, chance), "/v1/budgets")


def webhooks(chance: Random) -> Mutation:
    webhook = {"url": "https://example.com/hook?a=b#c", "events": ["budget.threshold_crossed"]}
    if chance.random() < 0.3:
        url = mutated_bytes(webhook["url"].encode(), chance)  # type: ignore[union-attr]
        webhook["url"] = url.decode(errors="replace")
    body = mutated_json(webhook, chance)
    return Mutation(body if chance.random() < 0.7 else mutated_bytes(body, chance), "/v1/webhooks")


_FILTER: Final = [
    {"type": "string", "column": "name", "operator": "contains", "value": "a"},
    {"type": "datetime", "column": "timestamp", "operator": ">=", "value": "2024-01-01T00:00:00Z"},
    {"type": "number", "column": "latency", "operator": ">", "value": 0.5},
    {"type": "arrayOptions", "column": "tags", "operator": "any of", "value": ["a"]},
    {"type": "stringObject", "column": "metadata", "key": "k", "operator": "=", "value": "v"},
]
_PARAMETERS: Final = (
    ("limit", "50"),
    ("page", "1"),
    ("cursor", "eyJhIjoxfQ"),
    ("fromTimestamp", "2024-01-01T00:00:00Z"),
    ("toTimestamp", "2024-01-02T00:00:00+02:00"),
    ("fromStartTime", "2024-01-01T00:00:00Z"),
    ("from", "2024-01-01T00:00:00Z"),
    ("to", "2024-01-02T00:00:00Z"),
    ("step", "1m"),
    ("group_by", "model,environment"),
    ("userId", "ada"),
    ("name", "a"),
    ("tags", "a"),
    ("orderBy", "timestamp.desc"),
    ("operator", ">="),
    ("value", "0.5"),
    ("fields", "core,io"),
)
_QUERY_PATHS: Final = (
    "/api/public/traces",
    "/api/public/observations",
    "/api/public/v2/observations",
    "/api/public/scores",
    "/api/public/v2/scores",
    "/api/public/v3/scores",
    "/api/public/traces/some-id",
    "/v1/windows",
    "/v1/alerts",
    "/v1/dead-letters",
    "/v1/traces/some-id/tree",
    "/api/public/health",
)


def queries(chance: Random) -> Mutation:
    """Parameters and filters of the routes that read; the store behind them answers nothing."""
    pairs: list[tuple[str, bytes]] = []
    for name, value in chance.sample(_PARAMETERS, chance.randrange(5)):
        encoded = value.encode()
        match chance.randrange(4):
            case 0:
                encoded = mutated_bytes(encoded, chance)
            case 1:
                encoded = chance.choice(JSON_FRAGMENTS).strip(b'"')
        pairs.append((name, encoded))
    if chance.random() < 0.6:
        entries = chance.sample(_FILTER, chance.randrange(1, 3))
        encoded = mutated_json(entries, chance)
        pairs.append(
            ("filter", encoded if chance.random() < 0.8 else mutated_bytes(encoded, chance))
        )
    query = "&".join(f"{name}={quote(value[:60_000])}" for name, value in pairs).encode()
    if chance.random() < 0.1:
        query = mutated_bytes(query, chance)
    return Mutation(b"", chance.choice(_QUERY_PATHS), method="GET", query=query)


DOORS: Final[dict[str, Door]] = {
    "otlp-protobuf": otlp_protobuf,
    "otlp-json": otlp_json,
    "otlp-grpc": otlp_protobuf,
    "ingestion": ingestion,
    "scores": scores,
    "deletions": deletions,
    "budgets": budgets,
    "webhooks": webhooks,
    "queries": queries,
}
GRPC_DOOR: Final = "otlp-grpc"
GATEWAY_DOORS: Final = frozenset(
    {"otlp-protobuf", "otlp-json", GRPC_DOOR, "ingestion", "scores", "deletions"}
)
