"""What POST /api/public/ingestion refuses, and how it says so; against a real broker."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from clickhouse.all_topics import ensure_topics
from producers.settings import KafkaSettings
from tests.producers.gateway.conftest import Log
from tests.producers.gateway.langfuse.ingestion_batches import NOW, SDK, URL, event, send
from tracemill.contract import Score

INVALID_EVENTS = {
    "no id": ({"type": "trace-create", "timestamp": NOW, "body": {}}, "`id`"),
    "no timestamp": ({"id": "x", "type": "trace-create", "body": {}}, "`timestamp`"),
    "no body": ({"id": "x", "type": "trace-create", "timestamp": NOW}, "`body`"),
    "not an object": (7, "Expected `object`"),
    "unknown type": (event("dream-create", {}), "type: unknown type 'dream-create'"),
    "bad time": (event("trace-create", {}, at="yesterday"), "timestamp: not an ISO 8601 time"),
    "name is a number": (event("trace-create", {"name": 7}), "$.body.name"),
    "body is a list": (event("trace-create", []), "Expected `object`, got `array` - at `$.body`"),
    "body is a number": (event("generation-create", 5),
        "Expected `object`, got `int` - at `$.body`"),
    "newline in an id": (event("trace-create", {"id": "nl\nx"}), "$.body.id"),
    "tab in a session": (event("score-create", {"name": "s", "value": 1, "sessionId": "a\tb"}),
        "$.body.sessionId"),
    "delete in a trace id": (event("span-create", {"id": "o", "traceId": "\x7f"}),
        "$.body.traceId"),
    "zero in a parent": (event("span-create", {"id": "o", "parentObservationId": "\0"}),
        "$.body.parentObservationId"),
    "unknown level": (event("span-create", {"id": "o", "level": "LOUD"}), "$.body.level"),
    "bad start": (event("span-create", {"id": "o", "startTime": "x"}), "startTime"),
    "update without id": (event("span-update", {"traceId": "t"}), "id: missing"),
    "prompt without version": (
        event("generation-create", {"id": "o", "promptName": "p"}),
        "set both or neither",
    ),
    "prompt version beyond the store's": (
        event("generation-create", {"id": "o", "promptName": "p", "promptVersion": 2**31}),
        "$.body.promptVersion",
    ),
    "score of nothing": (event("score-create", {"name": "s", "value": 1}), "set exactly one"),
    "score of two things": (
        event("score-create", {"name": "s", "value": 1, "traceId": "t", "sessionId": "s"}),
        "set exactly one",
    ),
    "score without name": (event("score-create", {"value": 1, "traceId": "t"}), "name: missing"),
    "score without value": (event("score-create", {"name": "s", "traceId": "t"}), "`value`"),
    "observation score without trace": (
        event("score-create", {"name": "s", "value": 1, "sessionId": "s", "observationId": "o"}),
        "requires a traceId",
    ),
    "two for a boolean": (
        event("score-create", {"name": "s", "value": 2, "traceId": "t", "dataType": "BOOLEAN"}),
        "BOOLEAN takes 0 or 1",
    ),
    "text for a number": (
        event("score-create", {"name": "s", "value": "a", "traceId": "t", "dataType": "NUMERIC"}),
        "NUMERIC takes a number",
    ),
    "number for a category": (
        event("score-create", {"name": "s", "value": 1, "traceId": "t", "dataType": "CATEGORICAL"}),
        "CATEGORICAL takes a string",
    ),
    "long text": (
        event("score-create", {"name": "s", "value": "x" * 501, "traceId": "t",
            "dataType": "TEXT"}),
        "1 to 500 characters",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("invalid", "fault"), INVALID_EVENTS.values(), ids=INVALID_EVENTS.keys())
async def test_an_invalid_event_is_set_aside_and_named_and_the_others_are_taken(
    client: httpx.AsyncClient, log: Log, invalid: Any, fault: str
) -> None:
    response = await send(
        client, invalid, event("span-create", {"id": "o", "traceId": "t"}, event_id="good")
    )

    assert response.status_code == 207
    answered = response.json()
    assert answered["successes"] == [{"id": "good", "status": 201}]
    (entry,) = answered["errors"]
    assert entry["status"] == 400
    assert entry["message"] == "Invalid request data"
    assert fault in entry["error"]
    assert entry["id"] == (invalid.get("id", "unknown") if isinstance(invalid, dict) else "unknown")
    assert len(await log.events()) == 1
    (letter,) = await log.dead_letters()
    assert (letter["project_id"], letter["stage"]) == ("default", "gateway")
    assert letter["reason"] == "invalid_event"
    assert fault in str(letter["detail"])
    assert json.loads(str(letter["payload"])) == invalid


async def test_an_sdk_is_told_that_an_invalid_event_was_taken_so_that_it_does_not_resend_the_batch(
    client: httpx.AsyncClient, log: Log
) -> None:
    bad = event("span-create", {"id": "o", "level": "LOUD"}, event_id="bad")
    for options in ({"headers": SDK}, {"headers": {"x-langfuse-sdk-name": "python"}}):
        response = await send(client, bad, **options)
        assert response.json() == {"successes": [{"id": "bad", "status": 201}], "errors": []}
    response = await client.post(
        URL, json={"batch": [bad], "metadata": {"sdk_name": "python", "batch_size": 1}}
    )
    assert response.json()["errors"] == []

    letters = await log.dead_letters()
    assert len(letters) == 3
    assert len({str(letter["id"]) for letter in letters}) == 1


async def test_an_invalid_event_is_kept_whole_however_large_it_is(
    client: httpx.AsyncClient, log: Log
) -> None:
    large = event("span-create", {"id": "o", "level": "LOUD", "input": 'say "x" ' * 400_000})
    response = await send(client, large, headers=SDK)

    assert response.json()["errors"] == []
    (letter,) = await log.dead_letters()
    assert json.loads(str(letter["payload"])) == large
    assert "cut" not in str(letter["detail"])


class TestSmallRecords:
    @pytest.fixture
    async def kafka(self, kafka_broker: str, gateway_prefix: str) -> KafkaSettings:
        settings = KafkaSettings(
            broker=kafka_broker, topic_prefix=gateway_prefix, record_max_bytes=1_048_576
        )
        await ensure_topics(settings)
        return settings

    async def test_what_no_record_takes_is_cut_and_never_a_503(
        self, client: httpx.AsyncClient, log: Log
    ) -> None:
        large = event("span-create", {"id": "o", "traceId": "t", "input": "x" * 2_000_000})
        response = await send(client, large, headers=SDK)

        assert response.json() == {"successes": [{"id": "e1", "status": 201}], "errors": []}
        assert await log.events() == []
        (letter,) = await log.dead_letters()
        assert letter["reason"] == "event_too_large"
        assert 500_000 < len(str(letter["payload"])) < 1_048_576
        assert "payload cut by tracemill" in str(letter["detail"])


async def test_events_of_the_server_are_refused_one_by_one(
    client: httpx.AsyncClient, log: Log
) -> None:
    response = await send(client, event("dataset-run-item-create", {"id": "x"}), headers=SDK)

    (entry,) = response.json()["errors"]
    assert (entry["id"], entry["status"]) == ("e1", 400)
    assert await log.dead_letters() == []


async def test_a_public_key_alone_may_send_scores_and_nothing_else(
    client: httpx.AsyncClient, log: Log
) -> None:
    response = await client.post(
        URL,
        json={"batch": [
            event("score-create", {"name": "s", "value": True, "traceId": "t"}, event_id="s"),
            event("trace-create", {"id": "t"}, event_id="t"),
        ]},
        auth=None,
        headers={"Authorization": "Bearer pk-tm-dev"},
    )  # fmt: skip

    assert response.status_code == 207
    assert response.json()["successes"] == [{"id": "s", "status": 201}]
    (entry,) = response.json()["errors"]
    assert entry == {
        "id": "t",
        "status": 401,
        "message": "Access Scope Denied",
        "error": "Access Scope Denied: the credential lacks the scope 'ingest'",
    }
    (score,) = await log.events()
    assert isinstance(score, Score)
    assert (score.data_type, score.value, score.string_value) == ("BOOLEAN", 1.0, "True")


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"hello",
    "cut": b'{"batch": [',
    "a list": b"[]",
    "no batch": b"{}",
    "batch is null": b'{"batch": null}',
    "batch is an object": b'{"batch": {}}',
    "not UTF-8": b'{"batch": ["\xff"]}',
    "NaN": b'{"batch": [NaN]}',
    "nested without end": b'{"batch": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_malformed_batch_is_a_400_that_says_why(
    client: httpx.AsyncClient, body: bytes
) -> None:
    response = await client.post(URL, content=body)

    assert response.status_code == 400
    assert response.json()["message"] == "Invalid request data"
    (fault,) = response.json()["errors"]
    assert len(fault) > 5
