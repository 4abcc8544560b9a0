"""Traces are deleted by events on a real broker."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from producers.control.log import ControlLog
from producers.settings import KafkaSettings
from tests.producers.gateway.conftest import Log
from tests.producers.gateway.test_auth import key_of
from tracemill.contract import TraceDeletion
from tracemill.partitioning import partition_of

LANGFUSE, NATIVE = "/api/public/traces", "/v1/traces"


async def deleted(log: Log) -> list[tuple[str, str]]:
    events = await log.events()
    assert all(isinstance(event, TraceDeletion) for event in events)
    return [(event.project_id, event.trace_id) for event in events]  # type: ignore[union-attr]


@pytest.mark.parametrize("url", [LANGFUSE, NATIVE])
async def test_a_trace_is_deleted_by_an_event(
    client: httpx.AsyncClient, log: Log, url: str
) -> None:
    answer = await client.delete(f"{url}/a%2Fb")

    assert (answer.status_code, answer.json()) == (200, {"message": "Trace deleted successfully"})
    assert await deleted(log) == [("default", "a/b")]
    (event,) = await log.events()
    assert isinstance(event, TraceDeletion)
    assert event.api_key == "pk-tm-dev"


@pytest.mark.parametrize(("url", "field"), [(LANGFUSE, "traceIds"), (NATIVE, "trace_ids")])
async def test_traces_of_a_list_are_deleted_once_each(
    client: httpx.AsyncClient, log: Log, url: str, field: str
) -> None:
    ids = ["t1", "t2", "t1"]
    answer = await client.request("DELETE", url, json={field: ids, "other": 1})

    assert (answer.status_code, answer.json()) == (200, {"message": "Traces deleted successfully"})
    assert sorted(await deleted(log)) == [("default", "t1"), ("default", "t2")]
    empty = await client.request("DELETE", url, json={field: []})
    assert empty.status_code == 200


async def test_many_deletions_are_divided_between_records(
    client: httpx.AsyncClient, kafka: KafkaSettings, log: Log
) -> None:
    of_one_partition = [
        each
        for each in (f"t{number}" for number in range(2_000))
        if partition_of("default", each, kafka.event_partitions) == 0
    ][:120]
    answer = await client.request("DELETE", LANGFUSE, json={"traceIds": of_one_partition})

    assert answer.status_code == 200
    first, *_ = await log.records(kafka.topics.events, kafka.event_partitions)
    assert [len(each.split(b"\n")) for each in first] == [50, 50, 20]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "traceIds"),
        ([], "object"),
        ({"traceIds": "t1"}, "traceIds"),
        ({"traceIds": [1]}, "traceIds"),
        ({"traceIds": [""]}, "traceIds"),
        ({"traceIds": ["x" * 801]}, "traceIds"),
        ({"traceIds": ["a\u0000"]}, "traceIds"),
        ({"traceIds": [f"t{n}" for n in range(1_001)]}, "1000"),
    ],
)
async def test_an_invalid_list_deletes_nothing(
    client: httpx.AsyncClient, log: Log, body: Any, message: str
) -> None:
    answer = await client.request("DELETE", LANGFUSE, json=body)

    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert await log.events() == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"traceIds": ["\xff"]}'])
async def test_a_body_that_is_not_json_deletes_nothing(
    client: httpx.AsyncClient, log: Log, content: bytes
) -> None:
    answer = await client.request("DELETE", NATIVE, content=content)
    assert (answer.status_code, await log.events()) == (400, [])


async def test_deleting_needs_the_scope_write(
    client: httpx.AsyncClient, control: ControlLog, log: Log
) -> None:
    key = key_of("default", scopes=["ingest", "scores", "read"])
    await control.put(key)
    public = {"authorization": "Bearer pk-tm-dev"}
    for answer in (
        await client.delete(f"{LANGFUSE}/t", auth=(key.public_key, "secret")),
        await client.request("DELETE", NATIVE, json={}, headers=public, auth=None),
    ):
        assert answer.status_code == 403
        assert "'write'" in answer.json()["message"]
    assert await log.events() == []
