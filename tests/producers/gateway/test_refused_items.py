"""What is wrong with one span, event or score costs that one: the others beside it are accepted."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from producers.gateway.langfuse import ingestion_events, scores
from producers.gateway.mapping import mapper
from tests.producers.gateway.conftest import Log
from tests.producers.gateway.mapping.compact import key_values
from tracemill.contract import Observation

TRACES = "/v1/traces"
INGESTION = "/api/public/ingestion"
SCORES = "/api/public/scores"
JSON = {"Content-Type": "application/json"}
GOOD_SPANS = 9


def span(number: int, attributes: bytes = b"[]", span_id: str = "") -> bytes:
    end_ns = time.time_ns()
    described = {
        "traceId": "ab" * 16,
        "spanId": span_id or f"{number + 1:016x}",
        "name": "answer",
        "startTimeUnixNano": str(end_ns - 10**9),
        "endTimeUnixNano": str(end_ns),
        "attributes": "@",
    }
    return json.dumps(described).encode().replace(b'"@"', attributes)


def export(*spans: bytes) -> bytes:
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b",".join(spans) + b"]}]}]}"


def text_attribute(key: str, text: str) -> bytes:
    return json.dumps(key_values({key: text})).encode()


def event(event_id: str, body: bytes, kind: str = "trace-create") -> bytes:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = json.dumps({"id": event_id, "type": kind, "timestamp": now})
    return head.encode()[:-1] + b',"body":' + body + b"}"


DEEP = b"[" * 5_000 + b"]" * 5_000
DOUBLE = b'[{"key":"k","value":{"doubleValue":%b}}]'
ACCEPTED = {
    "a cost of no end": text_attribute(
        "langfuse.observation.cost_details", '{"total":1e99999999999999999999}'
    ),
    "a cost of thousands of digits": text_attribute(
        "langfuse.observation.cost_details", '{"total":' + "9" * 4_300 + "}"
    ),
    "a count of thousands of digits": text_attribute(
        "langfuse.observation.usage_details", '{"input":' + "9" * 4_300 + "}"
    ),
    "a double of 400 digits": DOUBLE % (b"1" * 400),
    "metadata nested deep": text_attribute("langfuse.observation.metadata", DEEP.decode()),
    "metadata with a number of 400 digits": text_attribute(
        "langfuse.observation.metadata", '{"a":' + "1" * 400 + "}"
    ),
}
"""Attributes whose span is taken, without what cannot be true of it."""
REFUSED = {
    "a double out of range": span(99, DOUBLE % b"1e99999"),
    "an attribute nested deep": span(99, b'[{"key":"k","value":' + DEEP + b"}]"),
    "an id that is none": span(99, span_id="xyz"),
    "wrong UTF-8": span(99, b'[{"key":"\xff","value":{}}]'),
    "no object": b"7",
}


@pytest.mark.parametrize("attributes", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_a_span_with_an_extreme_value_is_accepted_without_it(
    client: httpx.AsyncClient, log: Log, attributes: bytes
) -> None:
    spans = [span(number) for number in range(GOOD_SPANS)]
    response = await client.post(TRACES, content=export(span(99, attributes), *spans), headers=JSON)

    assert (response.status_code, response.json()) == (200, {})
    assert len(await log.events()) == GOOD_SPANS + 1


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
async def test_a_span_that_cannot_be_read_is_a_dead_letter_and_the_others_are_accepted(
    client: httpx.AsyncClient, log: Log, bad: bytes
) -> None:
    spans = [span(number) for number in range(GOOD_SPANS)]
    response = await client.post(TRACES, content=export(*spans[:4], bad, *spans[4:]), headers=JSON)

    assert response.status_code == 200
    partial = response.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "spans[4]" in partial["errorMessage"]
    assert len(await log.events()) == GOOD_SPANS
    (letter,) = await log.dead_letters()
    assert letter["reason"] == "invalid_span"


BAD_EVENTS = {
    "nested deep": event("bad", b'{"id":"t","input":' + DEEP + b"}"),
    "a body nested deep": event("bad", DEEP),
    "wrong UTF-8": event("bad", b'{"id":"t","input":"\xff"}'),
    "a cost of no end": event("bad", b'{"costDetails":{"total":1e99999}}', "span-create"),
    "no object": DEEP,
}


@pytest.mark.parametrize("bad", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
async def test_an_event_that_cannot_be_read_is_a_dead_letter_and_the_others_are_accepted(
    client: httpx.AsyncClient, log: Log, bad: bytes
) -> None:
    body = b'{"batch":[' + event("e1", b'{"id":"a"}') + b"," + bad
    body += b"," + event("e2", b'{"id":"b"}') + b"]}"
    response = await client.post(INGESTION, content=body)

    assert response.status_code == 207
    answered = response.json()
    assert [each["id"] for each in answered["successes"]] == ["e1", "e2"]
    assert len(answered["errors"]) == 1
    assert {kept.trace_id for kept in await log.events()} == {"a", "b"}
    (letter,) = await log.dead_letters()
    assert letter["reason"] == "invalid_event"


@pytest.mark.parametrize("depth", [390, 410, 968, 980, 992, 3_000, 100_000])
async def test_the_metadata_of_a_large_batch_may_be_nested_to_any_depth(
    client: httpx.AsyncClient, log: Log, depth: int
) -> None:
    filler = json.dumps({"id": "t", "input": "x" * 1_100_000}).encode()
    deep = b'{"sdk_name":"python","a":' + b"[" * depth + b"]" * depth + b"}"
    body = b'{"batch":[' + event("e1", filler) + b'],"metadata":' + deep + b"}"
    response = await client.post(INGESTION, content=body)

    assert response.status_code == 207
    assert response.json()["successes"] == [{"id": "e1", "status": 201}]
    assert len(await log.events()) == 1


async def test_a_score_that_cannot_be_read_is_named_and_the_others_are_accepted(
    client: httpx.AsyncClient, log: Log
) -> None:
    good = json.dumps({"traceId": "t", "name": "n", "value": 1}).encode()
    bad = b'{"traceId":"t","name":"n","value":1,"metadata":' + DEEP + b"}"
    response = await client.post(SCORES, content=b"[" + bad + b"," + good + b"]")

    assert response.status_code == 207
    assert response.json()["accepted"] == 1
    assert response.json()["errors"][0]["message"].startswith("[0]: nested deeper than")
    assert len(await log.events()) == 1


class TestBugs:
    """An exception that nobody expected, at every step of an item."""

    @staticmethod
    def _failures(source: str) -> float:
        name = "tracemill_gateway_processing_failures_total"
        return REGISTRY.get_sample_value(name, {"source": source}) or 0.0

    async def test_in_the_mapping_costs_the_span(
        self, client: httpx.AsyncClient, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mapped = mapper._Mapper.observation

        def failing(self: mapper._Mapper, span: Any) -> Observation:
            if span.span_id.endswith("3"):
                raise ZeroDivisionError("a bug")
            return mapped(self, span)

        monkeypatch.setattr(mapper._Mapper, "observation", failing)
        before = self._failures("span_map")
        spans = [span(number) for number in range(GOOD_SPANS)]
        response = await client.post(TRACES, content=export(*spans), headers=JSON)

        assert response.status_code == 200
        assert response.json()["partialSuccess"]["rejectedSpans"] == "1"
        assert len(await log.events()) == GOOD_SPANS - 1
        (letter,) = await log.dead_letters()
        assert letter["reason"] == "processing_failed"
        assert "ZeroDivisionError: a bug" in str(letter["detail"])
        assert self._failures("span_map") == before + 1

    async def test_in_an_event_costs_the_event(
        self, client: httpx.AsyncClient, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stated = ingestion_events.trace_update_of

        def failing(body: Any, *arguments: Any, **named: Any) -> Any:
            if body.id == "bad":
                raise RecursionError("a bug")
            return stated(body, *arguments, **named)

        monkeypatch.setattr(ingestion_events, "trace_update_of", failing)
        body = b'{"batch":[' + event("e1", b'{"id":"bad"}') + b"," + event("e2", b'{"id":"b"}')
        response = await client.post(INGESTION, content=body + b"]}")

        assert response.status_code == 207
        assert [each["id"] for each in response.json()["successes"]] == ["e2"]
        (letter,) = await log.dead_letters()
        assert letter["reason"] == "processing_failed"

    async def test_in_a_score_costs_the_score(
        self, client: httpx.AsyncClient, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(*_: Any, **__: Any) -> Any:
            raise OverflowError("a bug")

        monkeypatch.setattr(scores, "score_of", failing)
        score = {"traceId": "t", "name": "n", "value": 1}
        alone = await client.post(SCORES, json=score)
        listed = await client.post(SCORES, json=[score])

        assert (alone.status_code, listed.status_code) == (400, 207)
        assert {letter["reason"] for letter in await log.dead_letters()} == {"processing_failed"}
