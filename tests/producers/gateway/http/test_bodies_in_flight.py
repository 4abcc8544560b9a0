"""Bodies as they come in: bounded in bytes and in time, before they are understood."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.errors import BodyError, OverloadedError, TooLargeError
from producers.gateway.app import Gateway
from producers.gateway.http.body import BodyLimits
from producers.gateway.http.gunzip import gunzip
from producers.gateway.http.in_flight import InFlightBytes
from producers.settings import GatewaySettings
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, Log, times_reached

URL = "/v1/traces"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
GZIPPED = {"Content-Encoding": "gzip"}


def _within(decompressed_max_bytes: int) -> BodyLimits:
    return BodyLimits("otlp_body_max_bytes", 10_000, decompressed_max_bytes, gzip_members_max=4)


@given(st.lists(st.binary(max_size=200), max_size=4), st.integers(0, 300))
def test_gunzip_gives_all_members_or_says_too_large(parts: list[bytes], limit: int) -> None:
    body = b"".join(gzip.compress(part) for part in parts) or gzip.compress(b"")
    whole = b"".join(parts)

    if len(whole) <= limit:
        assert gunzip(body, _within(limit)) == whole
    else:
        with pytest.raises(TooLargeError):
            gunzip(body, _within(limit))


@given(st.binary(max_size=300))
def test_gunzip_of_anything_is_its_bytes_or_one_of_our_errors(body: bytes) -> None:
    with suppress(BodyError, TooLargeError):
        assert gunzip(body, _within(1000)) == zlib.decompress(body, 31)


async def test_a_body_of_countless_gzip_members_is_refused_before_it_costs_time(
    client: httpx.AsyncClient,
) -> None:
    before = times_reached("gzip_members_max")
    body = (
        gzip.compress(b"") * 20_000
    )  # what follows is copied for each: forty times as many are minutes
    response = await client.post(URL, content=body, headers=PROTOBUF | GZIPPED)

    assert response.status_code == 400
    assert "more than 64 gzip members" in response.json()["message"]
    assert times_reached("gzip_members_max") == before + 1


def test_what_is_in_flight_is_given_back() -> None:
    in_flight = InFlightBytes(100)
    with in_flight.lease("a") as first:
        first.take(90)
        with in_flight.lease("b") as second:
            second.take(5)
            with pytest.raises(OverloadedError, match="in_flight_max_bytes"):
                second.take(6)
        with in_flight.lease("b") as third:
            third.take(10)
    with in_flight.lease("a") as alone:
        alone.take(1000)  # a single request may take what its own limits allow


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), max_size=60))
def test_however_much_some_projects_hold_there_is_a_share_for_another(
    wanted: list[tuple[str, int]],
) -> None:
    in_flight = InFlightBytes(1_000)
    leases = {project: in_flight.lease(project) for project in "abc"}
    for project, size in wanted:
        with suppress(OverloadedError):
            leases[project].take(size)

    with in_flight.lease("another") as lease:
        lease.take(1_000 // 4 - 40)


class TestMemory:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(in_flight_max_bytes=2_000, delivery_timeout_s=DELIVERY_TIMEOUT_S)

    async def test_more_bodies_than_memory_for_them_are_a_503(
        self, client: httpx.AsyncClient, log: Log
    ) -> None:
        taken, enough = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"\x00" * 1_900
            taken.set()
            await enough.wait()

        first = asyncio.create_task(client.post(URL, content=slow(), headers=PROTOBUF))
        await taken.wait()
        second = await client.post(URL, content=b"\x00" * 200, headers=PROTOBUF)
        enough.set()

        assert second.status_code == 503
        assert second.headers["retry-after"] == "1"
        assert "in_flight_max_bytes" in second.json()["message"]
        assert (await first).status_code == 400
        assert (await client.post(URL, content=b"", headers=PROTOBUF)).status_code == 200
        assert await log.events() == []


class TestTime:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(body_timeout_s=0.1)

    async def test_a_body_that_never_ends_is_a_408(self, client: httpx.AsyncClient) -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield b"\x00"
            await asyncio.Event().wait()

        before = times_reached("body_timeout_s")
        response = await client.post(URL, content=endless(), headers=PROTOBUF)

        assert response.status_code == 408
        assert times_reached("body_timeout_s") == before + 1
        assert "took too long" in response.json()["message"]


async def test_a_client_that_hangs_up_is_not_answered(gateway: Gateway) -> None:
    messages = iter(
        [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/traces",
        "headers": [(b"authorization", b"Basic cGstdG0tZGV2OnNrLXRtLWRldg==")],
    }
    await gateway(scope, receive, send)

    assert sent == []
