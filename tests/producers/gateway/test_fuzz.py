"""Any JSON results in a response per event, no status 500, and only lines of the contract."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.gateway.langfuse.contract_events import TYPE_OF_EVENT
from tests.producers.gateway.conftest import Log

FUZZ = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

texts = st.text(alphabet=st.characters(codec=None), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.sampled_from(["2024-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
counts = st.dictionaries(
    st.sampled_from(
        ["input", "output", "total", "prompt_tokens", "completion_tokens", "unit", "inputCost"]
    ),
    scalars,
)
OBSERVATION_FIELDS = {
    "id": texts,
    "traceId": texts,
    "parentObservationId": texts,
    "type": st.sampled_from(["GENERATION", "SPAN", "EVENT", "DREAM"]),
    "name": texts,
    "startTime": st.sampled_from(["2024-01-01T00:00:00Z", "2024-13-01", ""]),
    "endTime": st.sampled_from(["2023-12-31T00:00:00.5+01:00", "x"]),
    "level": st.sampled_from(["DEBUG", "ERROR", "LOUD"]),
    "model": texts,
    "modelParameters": st.dictionaries(texts, anything, max_size=3),
    "usage": counts | anything,
    "usageDetails": counts | anything,
    "costDetails": counts | anything,
    "promptName": texts,
    "promptVersion": st.integers(-(2**70), 2**70),
    "name2": anything,
}
OPEN_FIELDS = {
    "input": anything,
    "output": anything,
    "metadata": anything,
    "environment": texts,
    "tags": st.lists(texts, max_size=3),
    "public": st.booleans(),
    "userId": texts,
    "value": scalars,
    "dataType": st.sampled_from(["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"]),
    "log": anything,
}
types = st.sampled_from(
    [f"{kind}-{verb}" for kind in (*TYPE_OF_EVENT, "observation") for verb in ("create", "update")]
    + ["trace-create", "score-create", "sdk-log", "dataset-run-item-create"]
)
bodies = st.fixed_dictionaries({}, optional=OBSERVATION_FIELDS | OPEN_FIELDS)
plausible = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1, max_size=8),
        "type": types,
        "timestamp": st.just("2024-01-01T00:00:00.123Z"),
        "body": bodies,
    }
)
odd = st.fixed_dictionaries(
    {}, optional={"id": scalars, "type": types | scalars, "timestamp": scalars, "body": anything}
)


@FUZZ
@given(batch=st.lists(plausible | odd | anything, max_size=4), is_sdk=st.booleans())
async def test_every_event_of_any_batch_is_answered(
    client: httpx.AsyncClient, batch: list[Any], is_sdk: bool
) -> None:
    metadata = {"sdk_name": "python"} if is_sdk else None
    body = json.dumps({"batch": batch, "metadata": metadata})

    response = await client.post("/api/public/ingestion", content=body)

    assert response.status_code == 207, response.text
    answered = response.json()
    assert len(answered["successes"]) + len(answered["errors"]) == len(batch)


@FUZZ
@given(body=anything | st.lists(bodies | anything, max_size=3))
async def test_any_score_is_answered(client: httpx.AsyncClient, body: Any) -> None:
    response = await client.post("/api/public/scores", content=json.dumps(body))

    assert response.status_code in {200, 202, 207, 400}, response.text


attribute_values = st.one_of(
    st.fixed_dictionaries({"stringValue": texts}),
    st.fixed_dictionaries({"intValue": scalars}),
    st.fixed_dictionaries({"doubleValue": scalars}),
    st.fixed_dictionaries({"arrayValue": anything}),
    st.fixed_dictionaries({"kvlistValue": anything}),
    anything,
)
attribute_keys = st.sampled_from(
    [
        "langfuse.observation.type",
        "langfuse.observation.usage_details",
        "langfuse.observation.cost_details",
        "langfuse.observation.model.parameters",
        "langfuse.observation.completion_start_time",
        "langfuse.observation.metadata",
        "langfuse.trace.tags",
        "gen_ai.usage.input_tokens",
        "gen_ai.prompt.7.content",
        "llm.input_messages.3.message.role",
        "ai.response.toolCalls",
        "ai.response.providerMetadata",
        "input.value",
        "events",
        "all_messages_events",
    ]
)
json_texts = st.builds(lambda value: {"stringValue": json.dumps(value)}, anything)
spans = st.fixed_dictionaries(
    {"traceId": st.just("ab" * 16), "spanId": st.just("cd" * 8)},
    optional={
        "name": scalars,
        "startTimeUnixNano": scalars,
        "endTimeUnixNano": scalars,
        "status": anything,
        "attributes": st.lists(
            st.fixed_dictionaries(
                {"key": attribute_keys | texts, "value": json_texts | attribute_values}
            ),
            max_size=6,
        ),
        "events": st.lists(
            st.fixed_dictionaries({}, optional={"name": texts, "attributes": st.just([])}),
            max_size=2,
        ),
    },
)


@FUZZ
@given(
    exported=st.lists(spans, max_size=3),
    scope=st.sampled_from(["langfuse-sdk", "ai", "genkit-tracer", "pydantic-ai", "other"]),
)
async def test_any_export_is_answered(
    client: httpx.AsyncClient, exported: list[Any], scope: str
) -> None:
    body = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": exported}]}]}

    response = await client.post(
        "/v1/traces", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )

    assert response.status_code in {200, 400}, response.text


@pytest.mark.parametrize("depth", [10, 500, 900, 5_000])
async def test_deep_nesting_is_answered_and_what_is_kept_can_be_read(
    client: httpx.AsyncClient, log: Log, depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    event = (
        '{"id":"e","type":"trace-create","timestamp":"2024-01-01T00:00:00Z",'
        f'"body":{{"id":"t","input":{deep},"metadata":{{"k":{deep}}}}}}}'
    )

    response = await client.post("/api/public/ingestion", content=f'{{"batch":[{event}]}}')

    assert response.status_code in {207, 400}
    for kept in await log.events():
        assert kept.trace_id == "t"
