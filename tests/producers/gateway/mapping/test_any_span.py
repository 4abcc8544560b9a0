"""Whatever a span holds, it becomes a valid event, and the same one from protobuf and from JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.gateway.mapping import Mapped
from producers.gateway.mapping.io_sources import INPUT_OUTPUT
from producers.gateway.mapping.tables import OBSERVATION_FIELDS, PROMPT_FIELDS, TRACE_FIELDS
from producers.gateway.otlp import ExportLimits, decode_export
from producers.langfuse_sdk import Sdk
from tests.fixtures.exports import map_export
from tests.producers.gateway.mapping.compact import PARENT_ID, RECEIVED_US, json_body, protobuf_body
from tracemill.contract import decode_event, encode_event

PYTHON_SDK = {"telemetry.sdk.language": "python"}


def mapped(body: bytes, content_type: str) -> Mapped:
    export = decode_export(body, content_type, ExportLimits())
    return map_export(export, "p1", RECEIVED_US, Sdk())


def known_keys() -> list[str]:
    """Every attribute key that some table names."""
    keys: set[str] = set()

    def collect(source: Any) -> None:
        for name in ("key", "keys", "inputs", "outputs"):
            value = getattr(source, name, ())
            keys.update([value] if isinstance(value, str) else value)
        for name in ("prefixes",):
            keys.update(f"{prefix}0.x" for prefix in getattr(source, name, ()))
        for name in ("input_prefix", "output_prefix"):
            if prefix := getattr(source, name, ""):
                keys.update({prefix, f"{prefix}.0.role", f"{prefix}.7.parts.1.text"})
        if inner := getattr(source, "source", None):
            collect(inner)

    tables = (OBSERVATION_FIELDS, PROMPT_FIELDS, TRACE_FIELDS, {"io": INPUT_OUTPUT})
    for table in tables:
        for sources in table.values():
            for source in sources:
                collect(source)
    return sorted(
        keys
        | {
            *("langfuse.observation.metadata", "langfuse.observation.metadata.k", "gen_ai.usage.k"),
            *("langfuse.trace.metadata", "langfuse.metadata.scope", "llm.token_count.prompt"),
            *("ai.response.providerMetadata", "gen_ai.system_instructions", "ai.usage.tokens"),
        }
    )


json_texts = st.sampled_from(
    [
        *("", "{}", "[]", "null", "true", "{", '"', '"x"', "[[1]]", '{"a": [{"b": null}]}'),
        *("123456789012345678901234567890", '{"a": 123456789012345678901234567890}', "1e400"),
        *('{"input": -1}', '{"usage": {"inputTokens": "x"}, "message": 3}', '[{"role": 5}]'),
        *('{"name": ["x"], "version": {}}', "[1, [2]]", "a, b,,", "2026-13-45", "9" * 30, "-"),
        *("2026-11-18T07:06:38Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "NaN"),
        *("\ufeff", "\x00", "🌍", "generation", "ai.toolCall", "chat", "invoke_agent", "1.5"),
        *("[" * 2000, '{"a":' * 500 + "1" + "}" * 500, '{"openai": 5, "anthropic": {"usage": []}}'),
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | json_texts
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner)
    ),
    max_leaves=5,
)
keys = st.sampled_from(known_keys()) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scopes = st.sampled_from(
    [
        *("", "langfuse-sdk", "ai", "genkit-tracer", "pydantic-ai", "gcp.vertex.agent"),
        *("livekit-agents", "@flue/opentelemetry", "other"),
    ]
)
event_names = st.sampled_from(
    [
        *("gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt", "exception"),
        "gen_ai.client.inference.operation.details",
    ]
)
spans = st.fixed_dictionaries(
    {"attributes": st.dictionaries(keys, values, max_size=12)},
    optional={
        "name": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        "parent_id": st.just(PARENT_ID),
        "status": st.fixed_dictionaries({"code": st.integers(0, 2)}),
        "events": st.lists(
            st.fixed_dictionaries(
                {"name": event_names, "attributes": st.dictionaries(keys, values, max_size=3)}
            ),
            max_size=2,
        ),
    },
)


@settings(max_examples=150)
@given(span=spans, scope=scopes, version=st.sampled_from(["", "3.2.0", "4.18.0", "5.0.4", "x"]))
def test_any_span_becomes_a_valid_event_and_its_json_the_same_event(
    span: dict[str, Any], scope: str, version: str
) -> None:
    compact = {
        "resource": PYTHON_SDK,
        "scope": {"name": scope, "version": version},
        "spans": [span],
    }
    found = mapped(protobuf_body(compact), "application/x-protobuf")
    observation = [*found.observations, *(r.observation for r in found.refusals)][0]
    assert decode_event(encode_event(observation)) == observation
    assert isinstance(json.loads(observation.metadata or ""), dict)
    if observation.model_parameters is not None:
        assert isinstance(json.loads(observation.model_parameters), dict)
    assert not observation.partial

    assert mapped(json_body(compact), "application/json") == found
