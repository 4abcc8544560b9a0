"""When all connections are in use, idle and unauthenticated ones are evicted first."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deploy.connections import Connections
from deploy.embedded.ports import free_ports
from deploy.serving import serving, within_open_files
from deploy.settings import HttpSettings
from producers.control.auth import CONNECTION
from tests.deploy.test_http_limits import ANSWER_WITHIN_S, GET, Client

CALL = GET + b"authorization: Basic x\r\n\r\n"
SLOW_POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx"


@pytest.fixture
def proceed() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@pytest.fixture
def limits() -> HttpSettings:
    return HttpSettings(connections_max=4)


@pytest.fixture
async def port(limits: HttpSettings, proceed: asyncio.Event) -> AsyncIterator[int]:
    async def hello(scope: Any, receive: Any, send: Any) -> None:
        if any(name == b"authorization" for name, _ in scope["headers"]):
            scope[CONNECTION].authenticated()
        while (await receive()).get("more_body"):
            pass
        await proceed.wait()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"2")],
            }
        )
        await send({"type": "http.response.body", "body": b"hi"})

    (free,) = free_ports(1)
    async with serving(hello, "127.0.0.1", free, limits):
        yield free


async def answered(client: Client, request: bytes) -> bool:
    await client.send(request)
    return (await client.answer())[0] == 200


STRANGERS = {
    "silent": b"",
    "in a head": GET,
    "after a request": GET + b"\r\n",
    "in a body": SLOW_POST,
}


@pytest.mark.parametrize("said", STRANGERS.values(), ids=STRANGERS.keys())
async def test_unauthenticated_connections_are_evicted_before_authenticated_ones(
    port: int, said: bytes
) -> None:
    async with AsyncExitStack() as stack:
        caller = await stack.enter_async_context(Client(port))
        assert await answered(caller, CALL)
        strangers = [await stack.enter_async_context(Client(port)) for _ in range(30)]
        for stranger in strangers[-3:]:
            await stranger.send(said)
        another = await stack.enter_async_context(Client(port))

        assert await answered(another, CALL)
        assert await answered(caller, CALL)
        for stranger in strangers[:27]:
            assert await stranger.is_closed()


async def test_of_authenticated_connections_the_longest_idle_is_evicted(port: int) -> None:
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(Client(port)) for _ in range(4)]
        for caller in (*callers, callers[0]):
            assert await answered(caller, CALL)
        another = await stack.enter_async_context(Client(port))

        assert await answered(another, CALL)
        assert await callers[1].is_closed()
        for caller in (callers[0], *callers[2:]):
            assert await answered(caller, CALL)


async def test_if_no_connection_is_idle_a_new_one_is_answered_503(
    port: int, proceed: asyncio.Event
) -> None:
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(Client(port)) for _ in range(4)]
        for caller in callers:
            assert await answered(caller, CALL)
        proceed.clear()
        for caller in callers:
            await caller.send(CALL)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            while True:  # until the last of them is at work
                async with Client(port) as another:
                    await another.send(GET + b"\r\n")
                    try:
                        status, body = await another.answer()
                    except (asyncio.IncompleteReadError, ConnectionResetError, TimeoutError):
                        continue
                    assert status == 503
                    assert "connections_max" in json.loads(body)["message"]
                    break
        proceed.set()
        for caller in callers:
            status, _ = await caller.answer()
            assert status == 200


class FakeConnection:
    def __init__(self, address: str) -> None:
        self.address = address
        self.is_open = True

    def waits_for_peer(self) -> bool:
        return True

    def is_between_requests(self) -> bool:
        return True

    def evict(self) -> None:
        self.is_open = False


def test_at_the_limit_of_an_address_its_own_unauthenticated_connections_are_evicted() -> None:
    connections = Connections(HttpSettings(connections_max=100, connections_of_address_max=3))
    others = [FakeConnection(f"192.0.2.{number}") for number in range(5)]
    crowd = [FakeConnection("203.0.113.7") for _ in range(10)]
    for connection in (*others, *crowd):
        assert connections.admit(connection)
    connections.authenticated(crowd[-1])
    assert connections.admit(FakeConnection("203.0.113.7"))

    assert all(other.is_open for other in others)
    assert [each.is_open for each in crowd] == [False] * 7 + [True] * 3


@pytest.mark.parametrize(
    ("host", "share"),
    [
        ("127.0.0.1", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("10.1.2.3", ""),
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("/run/socket", ""),
    ],
)
def test_the_limit_applies_to_addresses_that_belong_to_one_client(host: str, share: str) -> None:
    limits = HttpSettings(shared_addresses="127.0.0.0/8, ::1, 10.0.0.0/8")

    assert Connections(limits).limited_address(host) == share


def test_there_are_no_more_connections_than_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = [(100, 1_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limit.__setitem__(0, both))

    assert within_open_files(HttpSettings(connections_max=500)).connections_max == 500
    assert limit == [(756, 1_000)]
    assert within_open_files(HttpSettings(connections_max=2_000)).connections_max == 744
    assert limit == [(1_000, 1_000)]


def test_an_invalid_network_is_refused() -> None:
    with pytest.raises(ValueError, match="shared_addresses"):
        HttpSettings(shared_addresses="127.0.0.0/8,somewhere")
