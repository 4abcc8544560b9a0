"""A request with an ``Upgrade`` header is answered like one without, body included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deploy.embedded.ports import free_ports
from deploy.serving import serving

ANSWERS_WITHIN_S = 30
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
WEBSOCKET = (
    b"connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
)
TLS = b"connection: upgrade\r\nupgrade: TLS/1.0\r\nupgrade: h2c\r\n"
BODIES = {
    "without a body": (b"", b""),
    "with a body": (b"content-length: 5\r\n", b"hello"),
    "with chunks": (b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the method, the path, and the body."""
    assert scope["type"] == "http"
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    content = f"{scope['method']} {scope['path']} {body.decode()};".encode()
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    (free,) = free_ports(1)
    async with serving(echo, "127.0.0.1", free):
        yield free


async def answers(port: int, pieces: list[bytes]) -> bytes:
    """What is answered to all pieces, the last of which closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("upgrade", [H2C, WEBSOCKET, TLS], ids=["h2c", "websocket", "two"])
@pytest.mark.parametrize(("head", "body"), BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("piece_bytes", [1, 7, 100_000])
async def test_it_is_answered_like_a_request_without_upgrade(
    port: int, upgrade: bytes, head: bytes, body: bytes, piece_bytes: int
) -> None:
    request = b"POST /%%20?a=b HTTP/1.1\r\nhost: x\r\n%s%s\r\n%s" % (upgrade, head, body)
    last = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    sent = request * 2 + last

    answered = await answers(
        port, [sent[at : at + piece_bytes] for at in range(0, len(sent), piece_bytes)]
    )

    contents = [part.rpartition(b"\n")[2] for part in answered.split(b";")]
    said = b"hello" if body else b""
    assert contents == [b"POST /  " + said] * 2 + [b"GET /last ", b""]


async def test_a_thousand_of_them_in_one_piece_are_all_answered(port: int) -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

    answered = await answers(port, [request * 1_000 + last])

    assert answered.count(b"HTTP/1.1 200") == 1_001


async def test_connect_is_answered_405(port: int) -> None:
    answered = await answers(port, [b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n"])

    assert answered.startswith(b"HTTP/1.1 405")
    assert b"allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" in answered
