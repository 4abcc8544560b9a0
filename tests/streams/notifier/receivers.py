"""Webhook receivers on loopback with responses that tests define."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Receiver:
    """Records every request; ``respond`` returns the raw response, or None to send none."""

    respond: Callable[[int], bytes | None]
    port: int = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


def status(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} X", "content-length: 0", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


OK = status(204)


@asynccontextmanager
async def receiving(
    respond: Callable[[int], bytes | None] = lambda _: OK, port: int = 0
) -> AsyncIterator[Receiver]:
    receiver = Receiver(respond)
    open_connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {"": head[0]} | {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            receiver.requests.append((headers, body))
            answer = receiver.respond(len(receiver.requests))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            open_connections.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in list(open_connections):
            writer.close()
