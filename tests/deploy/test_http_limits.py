"""Limits of request heads, tested over plain sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest

from deploy.embedded.ports import free_ports
from deploy.serving import serving
from deploy.settings import HttpSettings

ANSWER_WITHIN_S = 20


async def hello(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture
def limits() -> HttpSettings:
    return HttpSettings(connections_max=2)


@pytest.fixture
async def port(limits: HttpSettings) -> AsyncIterator[int]:
    (free,) = free_ports(1)
    async with serving(hello, "127.0.0.1", free, limits):
        yield free


class Client:
    """A connection that says whatever it is told to."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            (length,) = [
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            ]
            return int(head.split()[1]), await self._reader.readexactly(length)

    async def is_closed(self) -> bool:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:  # it was closed before the last words came
                return True


GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
REFUSED = {
    "a large header": (GET + b"a: " + b"x" * 200_000 + b"\r\n\r\n", 431),
    "a header without end": (GET + b"a: " + b"x" * 200_000, 431),
    "a long address": (b"GET /" + b"x" * 200_000, 431),
    "many headers": (GET + b"a: b\r\n" * 5_000 + b"\r\n", 431),
    "garbage": (b"\x16\x03\x01\x02\x00", 400),
    "an unknown method": (b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "two lengths": (GET + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
    "a length and chunks": (GET + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
}


@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_an_invalid_head_is_refused_in_json_and_the_connection_closed(
    port: int, head: bytes, status: int
) -> None:
    async with Client(port) as client:
        await client.send(head)
        answered, body = await client.answer()

        assert answered == status
        assert set(json.loads(body)) == {"message", "error"}


@pytest.mark.parametrize("limits", [HttpSettings(head_timeout_s=0.3)], ids=["0.3 s"])
@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET, b"\r\n"])
async def test_a_head_that_never_ends_is_closed(port: int, sent: bytes) -> None:
    async with Client(port) as client:
        await client.send(sent)

        assert await client.is_closed()


async def test_requests_follow_each_other_on_one_connection(port: int) -> None:
    body = b"x" * 150_000
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 150000\r\n\r\n" + body
    async with Client(port) as client:
        for request in (GET + b"\r\n", post, post[:100_000], post[100_000:] + GET, b"\r\n"):
            await client.send(request)
        for _ in range(4):
            assert await client.answer() == (200, b"hi")


@pytest.mark.parametrize("limits", [HttpSettings(head_timeout_s=2)], ids=["2 s"])
async def test_half_a_head_after_a_request_is_closed(port: int) -> None:
    async with Client(port) as client:
        await client.send(GET + b"\r\n")
        assert await client.answer() == (200, b"hi")
        await client.send(GET)

        assert await client.is_closed()
