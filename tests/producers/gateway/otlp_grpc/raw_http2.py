"""HTTP/2 by hand: what clients of gRPC do not send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import grpc

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
FRAME_MAX_BYTES: Final = 16_384
WITHIN_S: Final = 60


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing and without Huffman coding."""
    return b"\0" + _text(name) + _text(value)


def _text(text: bytes) -> bytes:
    length = len(text)
    if length < 127:
        return bytes([length]) + text
    encoded, rest = bytearray([127]), length - 127
    while rest > 127:
        encoded.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*encoded, rest]) + text


def grpc_headers(path: str | bytes, **metadata: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode() if isinstance(path, str) else path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *((name.replace("_", "-").encode(), value) for name, value in metadata.items()),
    ]


def grpc_message(payload: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(payload).to_bytes(4, "big") + payload


def status_in(answer: bytes) -> grpc.StatusCode | None:
    """The status of the first call of a connection, which encodes it as it is."""
    found = re.search(rb"grpc-status(?:\x01(\d)|\x02(\d\d))", answer)
    if found is None:
        return None
    number = int(found.group(1) or found.group(2))
    return next(code for code in grpc.StatusCode if code.value[0] == number)


class Connection:
    """A connection that sends whatever it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str) -> AsyncIterator[Connection]:
        host, _, port = address.rpartition(":")
        connection = cls(*await asyncio.open_connection(host, int(port)))
        try:
            await connection.send(PREFACE + frame(SETTINGS, 0, 0))
            yield connection
        finally:
            connection.writer.transport.abort()
            with suppress(OSError):
                await connection.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_headers(
        self, stream: int, headers: list[tuple[bytes, bytes]], flags: int = 0
    ) -> None:
        block = b"".join(literal(*header) for header in headers)
        parts = [block[at : at + FRAME_MAX_BYTES] for at in range(0, len(block), FRAME_MAX_BYTES)]
        for number, part in enumerate(parts):
            kind, flag = (HEADERS, flags) if number == 0 else (CONTINUATION, 0)
            last = END_HEADERS if number == len(parts) - 1 else 0
            await self.send(frame(kind, flag | last, stream, part))

    async def send_data(self, stream: int, data: bytes, flags: int = 0) -> None:
        await self.send(frame(DATA, flags, stream, data))

    async def answer(self, until: bytes = b"grpc-status") -> bytes:
        """What the server sends up to ``until``, or until it closes."""
        received = b""
        async with asyncio.timeout(WITHIN_S):
            while until not in received[:-3]:
                part = await self._reader.read(65_536)
                if not part:
                    break
                received += part
        return received
