"""Bodies that become huge objects, and too many requests at a time, are refused early."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from producers.errors import TooLargeError
from producers.gateway.values.json_size import check_json_values
from producers.settings import GatewaySettings
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, times_reached

URL = "/v1/traces"
INGESTION = "/api/public/ingestion"
PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
JSON = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
ANSWER_WITHIN_S = 60


def field(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes((size >> shift & 127) | 128 for shift in (0, 7, 14, 21)) + bytes((size >> 28,))
    return bytes((tag,)) + length + content


def span(fields: bytes) -> bytes:
    ids = field(0x0A, b"\1" * 16) + field(0x12, b"\1" * 8)
    return field(0x0A, field(0x12, field(0x12, ids + fields)))


def attribute(value: bytes) -> bytes:
    return field(0x4A, field(0x0A, b"k") + field(0x12, value))


MANY = 8 * 2**20

EXPLOSIVE = {
    "resources": (PROTOBUF, b"\x0a\x00" * MANY, "groups_max"),
    "scopes": (PROTOBUF, field(0x0A, b"\x12\x00" * MANY), "groups_max"),
    "spans": (PROTOBUF, field(0x0A, field(0x12, b"\x12\x00" * MANY)), "spans_max"),
    "attributes": (PROTOBUF, span(b"\x4a\x00" * MANY), "fields_max"),
    "events": (PROTOBUF, span(b"\x5a\x00" * MANY), "fields_max"),
    "an array": (PROTOBUF, span(attribute(field(0x2A, b"\x0a\x00" * MANY))), "fields_max"),
    "many arrays": (
        PROTOBUF,
        span(attribute(field(0x2A, b"\x0a\x00" * 400_000)) * 4),
        "values_max",
    ),
    "JSON resources": (JSON, b'{"resourceSpans":[' + b"{}," * MANY + b"{}]}", "json_values_max"),
    "JSON scopes": (
        JSON,
        b'{"resourceSpans":[{"scopeSpans":[' + b"{}," * 400_000 + b"{}]}]}",
        "groups_max",
    ),
    "JSON spans": (
        JSON,
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * 400_000 + b"{}]}]}]}",
        "spans_max",
    ),
}


@pytest.mark.parametrize(("headers", "body", "limit"), EXPLOSIVE.values(), ids=EXPLOSIVE.keys())
async def test_an_export_that_would_become_huge_is_a_413_at_once(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes, limit: str
) -> None:
    compressed = gzip.compress(body, 1)
    before = times_reached(limit)
    async with asyncio.timeout(ANSWER_WITHIN_S):
        response = await client.post(URL, content=compressed, headers=headers)

    assert response.status_code == 413
    assert "more than" in response.json()["message"]
    assert times_reached(limit) == before + 1


async def test_a_batch_of_countless_events_is_a_413(client: httpx.AsyncClient) -> None:
    body = gzip.compress(b'{"batch":[' + b"1," * MANY + b"1]}", 1)
    before = times_reached("json_values_max")
    async with asyncio.timeout(ANSWER_WITHIN_S):
        response = await client.post(INGESTION, content=body, headers=JSON)

    assert response.status_code == 413
    assert times_reached("json_values_max") == before + 1


async def test_whoever_shows_only_a_public_key_sends_small_bodies(
    client: httpx.AsyncClient,
) -> None:
    body = gzip.compress(b'{"batch":[' + b"1," * MANY + b"1]}", 1)
    before = times_reached("public_key_body_max_bytes")
    response = await client.post(
        INGESTION,
        content=body,
        headers=JSON | {"Authorization": "Bearer pk-tm-dev"},
        auth=httpx.Auth(),
    )

    assert response.status_code == 413
    assert times_reached("public_key_body_max_bytes") == before + 1


async def test_two_credentials_are_none(client: httpx.AsyncClient) -> None:
    response = await client.post(
        INGESTION,
        content=b'{"batch":[]}',
        headers=[("Authorization", "Bearer pk-tm-dev"), ("Authorization", "Bearer pk-tm-dev")],
        auth=httpx.Auth(),
    )

    assert response.status_code == 401
    assert response.json()["message"] == "More than one authorization header"


def test_json_within_texts_is_not_counted() -> None:
    text = json.dumps([json.dumps([{"a": ['"', "\\"]}] * 50)])

    check_json_values(text.encode(), 3)
    with pytest.raises(TooLargeError):
        check_json_values(json.loads(text)[0].encode(), 3)


class TestTurns:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(
            large_bodies_max=1,
            large_bodies_waiting_max=1,
            turn_timeout_s=0.2,
            delivery_timeout_s=DELIVERY_TIMEOUT_S,
        )

    async def test_a_large_body_whose_turn_does_not_come_is_a_503_and_not_read(
        self, client: httpx.AsyncClient
    ) -> None:
        begun, enough = asyncio.Event(), asyncio.Event()
        read: list[bytes] = []

        async def slow() -> AsyncIterator[bytes]:
            yield b'{"batch":'
            begun.set()
            await enough.wait()
            yield b"[]}"

        async def waiting() -> AsyncIterator[bytes]:
            read.append(b"{}")
            yield b"{}"

        first = asyncio.create_task(client.post(INGESTION, content=slow()))
        await begun.wait()
        second, third = await asyncio.gather(
            client.post(INGESTION, content=waiting()), client.post(INGESTION, content=waiting())
        )
        small = await client.post(INGESTION, json={"batch": []})
        enough.set()

        assert [second.status_code, third.status_code, small.status_code] == [503, 503, 207]
        limits = {second.json()["message"], third.json()["message"]}
        assert any("turn_timeout_s" in each for each in limits)
        assert any("large_bodies_waiting_max" in each for each in limits)
        assert second.headers["retry-after"] == "1"
        assert read == []
        assert (await first).status_code == 207
