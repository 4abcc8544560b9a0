"""POST /api/public/ingestion against a real broker."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from producers.gateway.langfuse.bodies import TraceBody
from tests.producers.gateway.conftest import Log
from tests.producers.gateway.langfuse.ingestion_batches import SDK, URL, event, send
from tracemill.contract import Observation, Score, TraceAttributes, TraceUpdate

NOW_US = 1_732_157_122_921_597


async def test_a_trace_with_a_generation_becomes_statements_of_the_contract(
    client: httpx.AsyncClient, log: Log
) -> None:
    response = await send(
        client,
        event(
            "trace-create",
            {
                "id": "t1",
                "name": "chat",
                "userId": "u1",
                "tags": ["b", "a"],
                "input": {"q": 1},
                "metadata": {"k": "v"},
                "environment": "Langfuse-Prod",
                "timestamp": "2024-11-21T02:45:20Z",
                "unknown": True,
            },
        ),
        event(
            "generation-create",
            {
                "id": "g1",
                "traceId": "t1",
                "name": "llm",
                "model": "gpt-4o",
                "startTime": "2024-11-21T02:45:21+00:00",
                "modelParameters": {"max_tokens": "inf"},
                "input": [{"role": "user"}],
                "level": "WARNING",
            },
            event_id="e2",
        ),
        event(
            "generation-update",
            {
                "traceId": "t1",
                "output": "hello",
                "id": "g1",
                "endTime": "2024-11-21T02:45:22.921032Z",
                "usage": {"input": 10, "output": 5, "unit": "TOKENS"},
                "usageDetails": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 15,
                    "prompt_tokens_details": {"cached_tokens": 4},
                },
                "costDetails": {"input": 0.1},
            },
            event_id="e3",
        ),
        headers=SDK,
    )

    assert response.status_code == 207
    assert response.json() == {
        "successes": [{"id": f"e{number}", "status": 201} for number in (1, 2, 3)],
        "errors": [],
    }
    assert await log.events() == [
        TraceUpdate(
            project_id="default",
            trace_id="t1",
            ts_us=NOW_US,
            environment="prod",
            trace=TraceAttributes(
                name="chat", user_id="u1", tags=("b", "a"), input='{"q":1}',
                metadata='{"k":"v"}', start_us=1_732_157_120_000_000,
            ),
        ),
        Observation(
            project_id="default", trace_id="t1", id="g1", ts_us=NOW_US, partial=True,
            type="GENERATION", name="llm", model="gpt-4o", level="WARNING",
            start_us=1_732_157_121_000_000, input='[{"role":"user"}]',
            model_parameters='{"max_tokens":"inf"}', api_key="pk-tm-dev",
            scope_name="langfuse-python", scope_version="2.60.10",
        ),
        Observation(
            project_id="default", trace_id="t1", id="g1", ts_us=NOW_US + 1, partial=True,
            type="GENERATION", end_us=1_732_157_122_921_032, output="hello",
            usage={"input": 6, "output": 5, "total": 15, "input_cached_tokens": 4},
            reported_usage="{}", usage_uncertain="",
            cost={"input": 100_000_000_000}, api_key="pk-tm-dev",
            scope_name="langfuse-python", scope_version="2.60.10",
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "stated"),
    [
        ("span-create", "SPAN"),
        ("span-update", None),
        ("generation-create", "GENERATION"),
        ("generation-update", "GENERATION"),
        ("event-create", "EVENT"),
        ("agent-create", "AGENT"),
        ("tool-create", "TOOL"),
        ("chain-create", "CHAIN"),
        ("retriever-create", "RETRIEVER"),
        ("evaluator-create", "EVALUATOR"),
        ("embedding-create", "EMBEDDING"),
        ("guardrail-create", "GUARDRAIL"),
    ],
)
async def test_every_type_of_observation_event_is_taken(
    client: httpx.AsyncClient, log: Log, kind: str, stated: str | None
) -> None:
    response = await send(client, event(kind, {"id": "o1", "traceId": "t1"}))

    assert response.json()["errors"] == []
    (observation,) = await log.events()
    assert isinstance(observation, Observation)
    assert observation.type == stated


async def test_legacy_observation_events_say_their_type_in_the_body(
    client: httpx.AsyncClient, log: Log
) -> None:
    response = await send(
        client,
        event("observation-create", {"id": "o1", "traceId": "t1", "type": "GENERATION"}),
        event("observation-update", {"id": "o2", "traceId": "t1", "type": "EVENT"}, event_id="e2"),
        event("observation-create", {"id": "o3", "traceId": "t1", "type": "DREAM"}, event_id="e3"),
    )

    assert [entry["id"] for entry in response.json()["successes"]] == ["e1", "e2"]
    assert (
        response.json()["errors"][0]["error"] == "body.type: must be one of GENERATION, SPAN, EVENT"
    )
    assert [
        observed.type for observed in await log.events() if isinstance(observed, Observation)
    ] == [
        "GENERATION",
        "EVENT",
    ]


async def test_the_unit_of_the_older_usage_object_counts(
    client: httpx.AsyncClient, log: Log
) -> None:
    usage = {"input": 1000, "unit": "CHARACTERS", "inputCost": 0.5}
    await send(client, event("generation-create", {"id": "o1", "traceId": "t1", "usage": usage}))

    (observation,) = await log.events()
    assert isinstance(observation, Observation)
    assert observation.usage == {"input_characters": 1000}
    assert observation.cost == {"input": 500_000_000_000}


async def test_an_observation_without_trace_is_a_trace_of_its_own(
    client: httpx.AsyncClient, log: Log
) -> None:
    await send(client, event("span-create", {"id": "o1", "name": "lonely"}))

    (observation,) = await log.events()
    assert (observation.trace_id, observation.id) == ("o1", "o1")


async def test_an_update_without_trace_finds_the_trace_that_its_batch_names(
    client: httpx.AsyncClient, log: Log
) -> None:
    await send(
        client,
        event("span-update", {"id": "o1", "output": "done"}),
        event("span-create", {"id": "o1", "traceId": "t1"}, event_id="e2"),
    )

    assert {observed.trace_id for observed in await log.events()} == {"t1"}


async def test_bodies_without_id_take_the_id_of_their_event(
    client: httpx.AsyncClient, log: Log
) -> None:
    await send(
        client,
        event("trace-create", {"name": "t"}, event_id="et"),
        event("generation-create", {"traceId": "t9"}, event_id="eg"),
        event("score-create", {"traceId": "t9", "name": "s", "value": 1}, event_id="es"),
    )

    events = await log.events()
    assert {getattr(one, "id", None) or one.trace_id for one in events} == {"et", "eg", "es"}


async def test_sdk_logs_are_taken_and_not_published(client: httpx.AsyncClient, log: Log) -> None:
    response = await send(client, event("sdk-log", {"log": {"any": "thing"}}))

    assert response.json()["successes"] == [{"id": "e1", "status": 201}]
    assert await log.events() == []


async def test_an_empty_batch_is_fine(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json={"batch": [], "metadata": None})

    assert response.status_code == 207
    assert response.json() == {"successes": [], "errors": []}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r"caf\u00e9 \ud83d\ude00", "café 😀"),
        (r"cut \ud83d", "cut \ufffd"),
        (r"cut \ude00 here", "cut \ufffd here"),
        (r"\ud83dx\ud83d\ude00", "\ufffdx😀"),
        (r"\\ud83d stays", r"\ud83d stays"),
    ],
)
async def test_half_an_emoji_does_not_cost_a_batch(
    client: httpx.AsyncClient, log: Log, sent: str, kept: str
) -> None:
    body = json.dumps({"batch": [event("trace-create", {"id": "t", "name": "@", "input": ["@"]})]})

    response = await client.post(URL, content=body.replace("@", sent).encode())

    assert response.json()["errors"] == []
    (update,) = await log.events()
    assert isinstance(update, TraceUpdate)
    assert update.trace.name == kept
    assert json.loads(update.trace.input or "") == [kept]


async def test_texts_and_metadata_keep_what_was_said(client: httpx.AsyncClient, log: Log) -> None:
    await send(
        client,
        event("trace-create", {"id": "t1", "input": "plain", "output": 0, "metadata": "word"}),
        event("trace-create", {"id": "t1", "input": "", "output": {}, "metadata": {}}),
        event("trace-create", {"id": "t1", "input": None, "output": [1.50], "metadata": [1]}),
        event("span-create", {"id": "o", "traceId": "t1", "input": {}, "output": False}),
    )

    said = [
        (one.trace.input, one.trace.output, one.trace.metadata)
        if isinstance(one, TraceUpdate)
        else (one.input, one.output, one.metadata)
        for one in await log.events()
        if not isinstance(one, Score)
    ]
    assert said == [
        ("plain", "0", '{"metadata":"word"}'),
        (None, None, None),
        (None, "[1.5]", '{"metadata":"[1]"}'),
        ("{}", "false", None),
    ]


async def test_the_same_batch_sent_again_makes_the_same_lines(
    client: httpx.AsyncClient, log: Log
) -> None:
    batch = [
        event("trace-create", {"id": "t1", "name": "a"}),
        event("span-update", {"id": "o1", "traceId": "t1", "output": "x"}, event_id="e2"),
        event("span-create", {"id": "o1", "traceId": "t1"}, event_id="e3"),
    ]
    await send(client, *batch)
    once = await log.events()
    await send(client, *batch)

    assert await log.events() == once * 2


async def test_the_tenant_comes_from_the_key_whatever_the_body_says(
    client: httpx.AsyncClient, log: Log
) -> None:
    await send(client, event("trace-create", {"id": "t", "projectId": "other", "project_id": "x"}))

    (update,) = await log.events()
    assert update.project_id == "default"


async def test_gzip_is_understood(client: httpx.AsyncClient, log: Log) -> None:
    body = json.dumps({"batch": [event("trace-create", {"id": "t"})]}).encode()

    response = await client.post(
        URL, content=gzip.compress(body), headers={"Content-Encoding": "gzip"}
    )

    assert response.status_code == 207
    assert len(await log.events()) == 1


def test_bodies_name_their_fields_as_the_wire_does() -> None:
    assert {"sessionId", "externalId"} <= set(TraceBody.__struct_encode_fields__)


async def test_a_number_out_of_range_in_metadata_stays_the_text_that_was_sent(
    client: httpx.AsyncClient, log: Log
) -> None:
    bodies = [
        event("trace-create", {"id": "t1", "metadata": {"a": "HUGE", "b": ["HUGE", 2]}}),
        event("span-create", {"id": "o1", "traceId": "t1", "metadata": "HUGE"}, event_id="e2"),
    ]
    content = json.dumps({"batch": bodies}).replace('"HUGE"', "1e309")
    headers = {"content-type": "application/json"}
    assert (await client.post(URL, content=content, headers=headers)).json()["errors"] == []
    metadata = [
        json.loads(found)
        for each in await log.events()
        for found in (
            getattr(each, "metadata", None),
            getattr(getattr(each, "trace", None), "metadata", None),
        )
        if found
    ]
    assert {"a": "1e309", "b": ["1e309", 2]} in metadata
    assert {"metadata": "1e309"} in metadata


@pytest.mark.parametrize(
    ("name", "version", "scope"),
    [
        ("python", "2.60.10", "langfuse-python"),
        ("langfuse-js", "3.39.2", "langfuse-js"),
        ("python", "3.15.0", None),
        ("javascript", "5.11.1", None),
        ("python", "", None),
    ],
)
async def test_observations_of_sdks_that_send_them_to_the_ingestion_api_have_their_scope(
    client: httpx.AsyncClient, log: Log, name: str, version: str, scope: str | None
) -> None:
    headers = {"x_langfuse_sdk_name": name, "x_langfuse_sdk_version": version}
    await send(client, event("span-create", {"id": "s1", "traceId": "t1"}), headers=headers)
    (kept,) = await log.events()
    assert isinstance(kept, Observation)
    assert (kept.scope_name, kept.scope_version) == (scope, version if scope else None)
