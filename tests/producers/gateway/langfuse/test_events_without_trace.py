"""Events without a trace id find the trace that the gateway remembers, or wait for the store."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import TopicPartition

from producers.gateway.app import Gateway
from producers.gateway.recent_traces import RecentTraces
from producers.settings import KafkaSettings
from producers.unplaced_events import UnplacedEvent
from tests.producers.gateway.conftest import Log, times_reached
from tests.producers.gateway.langfuse.ingestion_batches import SDK, event, send
from tracemill.contract import Observation, Score, decode_event


async def unplaced(log: Log, kafka: KafkaSettings) -> list[Any]:
    log._begin.setdefault(TopicPartition(kafka.topics.unplaced_updates, 0), 0)
    (values,) = await log.records(kafka.topics.unplaced_updates, 1)
    lines = [line for value in values for line in value.split(b"\n")]
    return [
        decode_event(bytes(msgspec.json.decode(each, type=UnplacedEvent).event)) for each in lines
    ]


@pytest.mark.parametrize("kind", ["generation-update", "span-update", "agent-create"])
async def test_an_update_in_a_request_of_its_own_joins_the_trace_of_its_create(
    client: httpx.AsyncClient, log: Log, kind: str
) -> None:
    await send(client, event("generation-create", {"id": f"a-{kind}", "traceId": "t1"}))
    response = await send(client, event(kind, {"id": f"a-{kind}", "output": "done"}), headers=SDK)

    assert response.json() == {"successes": [{"id": "e1", "status": 201}], "errors": []}
    created, updated = await log.events()
    assert (created.trace_id, updated.trace_id) == ("t1", "t1")
    assert isinstance(updated, Observation)
    assert (updated.id, updated.output) == (f"a-{kind}", "done")


async def test_an_empty_trace_id_is_none(client: httpx.AsyncClient, log: Log) -> None:
    await send(client, event("generation-create", {"id": "empty-a", "traceId": "t9"}))
    updated = event("generation-update", {"id": "empty-a", "traceId": "", "output": "done"})
    response = await send(client, updated)

    assert response.json()["errors"] == []
    assert {each.trace_id for each in await log.events()} == {"t9"}


async def test_children_and_scores_join_the_trace_of_their_observation(
    client: httpx.AsyncClient, log: Log
) -> None:
    await send(client, event("span-create", {"id": "root-b", "traceId": "t2"}))
    await send(
        client,
        event("generation-update", {"id": "leaf-b", "output": "x"}, event_id="e1"),
        event("span-create", {"id": "leaf-b", "parentObservationId": "mid-b"}, event_id="e2"),
        event("span-create", {"id": "mid-b", "parentObservationId": "root-b"}, event_id="e3"),
        event("score-create", {"name": "s", "value": 1, "observationId": "leaf-b"}, event_id="e4"),
    )
    events = await log.events()
    assert {each.trace_id for each in events} == {"t2"}
    assert len(events) == 5
    assert [each.observation_id for each in events if isinstance(each, Score)] == ["leaf-b"]


async def test_what_is_not_remembered_waits_for_the_store(
    client: httpx.AsyncClient, log: Log, kafka: KafkaSettings
) -> None:
    before = len(await unplaced(log, kafka))
    response = await send(
        client,
        event("generation-update", {"id": "o-c", "output": "x"}, event_id="e1"),
        event("span-create", {"id": "child-c", "parentObservationId": "p-c"}, event_id="e2"),
        event("score-create", {"name": "s", "value": 1, "observationId": "q-c"}, event_id="e3"),
        event("span-create", {"id": "alone-c"}, event_id="e4"),
        event("span-update", {"id": "alone-c", "output": "y"}, event_id="e5"),
    )

    assert [each["status"] for each in response.json()["successes"]] == [201] * 5
    assert [(each.id, each.trace_id) for each in await log.events()] == [("alone-c", "alone-c")] * 2
    waiting = (await unplaced(log, kafka))[before:]
    assert [(each.trace_id, each.id) for each in waiting] == [
        ("o-c", "o-c"),
        ("child-c", "child-c"),
        ("q-c", "e3"),
    ]


async def test_an_invalid_event_without_a_trace_is_refused_at_once(
    client: httpx.AsyncClient,
) -> None:
    response = await send(client, event("score-create", {"name": "s", "observationId": "o"}))
    assert response.json()["errors"][0]["status"] == 400


async def test_ids_of_other_projects_are_not_remembered() -> None:
    recent = RecentTraces(1_000_000)
    recent.remember("a", {"o": "t"})
    assert (recent.trace_of("a", "o"), recent.trace_of("b", "o")) == ("t", None)


def test_the_latest_observations_are_remembered_within_the_limit() -> None:
    before = times_reached("recent_traces_max_bytes")
    recent = RecentTraces(100_000)
    for number in range(1_000):
        recent.remember("p", {f"o{number}": f"t{number}"})
    remembered = [n for n in range(1_000) if recent.trace_of("p", f"o{n}") == f"t{n}"]
    assert 100 < len(remembered) < 300
    assert remembered == list(range(1_000 - len(remembered), 1_000))
    assert times_reached("recent_traces_max_bytes") > before


async def test_another_gateway_does_not_remember(
    client: httpx.AsyncClient, gateway: Gateway, log: Log, kafka: KafkaSettings
) -> None:
    await send(client, event("span-create", {"id": "o-d", "traceId": "t4"}))
    gateway.context.recent_traces._younger.clear()
    before = len(await unplaced(log, kafka))
    await send(client, event("span-update", {"id": "o-d", "output": "x"}))

    assert [each.id for each in await log.events()] == ["o-d"]
    (waiting,) = (await unplaced(log, kafka))[before:]
    assert (waiting.id, waiting.output) == ("o-d", "x")
