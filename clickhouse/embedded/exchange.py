"""Stream the request body and the response of one HTTP exchange."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from clickhouse.embedded.engine import Progress
from clickhouse.embedded.request import BadRequest, Compressor, decompressor

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


DISCARDED_BYTES_MAX = 256 * 2**20


class ClientGone(Exception):
    """The client disconnected."""


async def until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Body:
    """A request's body, decompressed as it is read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.decompressor = decompressor("")
        self.is_finished = False

    async def next_piece(self) -> bytes:
        """Return the next bytes of the body; they may be empty even before its end."""
        if self.is_finished:
            return b""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.is_finished = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        if not piece:
            return b""
        try:
            return self.decompressor.decompress(piece)
        except (zlib.error, RuntimeError, EOFError) as error:
            raise BadRequest(400, 271, f"Cannot decompress the body: {error}") from error

    async def read(self, bytes_max: int) -> bytes:
        """Read the rest of the body.

        Raises:
            BadRequest: the body is longer than ``bytes_max``.
        """
        pieces: list[bytes] = []
        size = 0
        while not self.is_finished:
            pieces.append(await self.next_piece())
            size += len(pieces[-1])
            if size > bytes_max:
                raise BadRequest(413, 62, "The statement is too long (setting query_bytes_max)")
        return b"".join(pieces)

    async def discard(self) -> None:
        """Read and drop the rest of the body, up to ``DISCARDED_BYTES_MAX``."""
        size = 0
        while not self.is_finished and size < DISCARDED_BYTES_MAX:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.is_finished = not message.get("more_body", False)
            size += len(message.get("body", b""))


class Exchange:
    """The response of one request."""

    def __init__(self, send: Send, query_id: str) -> None:
        self._send = send
        self.query_id = query_id
        self._compressor = Compressor(frozenset())
        self._has_begun = False
        self._tag = secrets.token_hex(8)

    async def begin(
        self,
        headers: dict[str, str],
        progress: Progress,
        elapsed_s: float,
        *,
        is_complete: bool,
        compressor: Compressor | None = None,
    ) -> None:
        self._compressor = compressor or self._compressor
        summary = {
            "read_rows": str(progress.read_rows),
            "read_bytes": str(progress.read_bytes),
            "written_rows": str(progress.written_rows),
            "written_bytes": str(progress.written_bytes),
            "elapsed_ns": str(int(elapsed_s * 1e9)),
        }
        if is_complete:
            summary["result_rows"] = str(progress.result_rows or progress.written_rows)
            summary["result_bytes"] = str(progress.result_bytes or progress.written_bytes)
        self._has_begun = True
        await _send_head(
            self._send,
            200,
            {
                **_common_headers(self.query_id),
                "x-clickhouse-summary": json.dumps(summary, separators=(",", ":")),
                "x-clickhouse-exception-tag": self._tag,
                **headers,
            },
        )

    async def send(self, data: bytes) -> None:
        compressed = self._compressor.compress(data) if data else b""
        if compressed:
            await self._send({"type": "http.response.body", "body": compressed, "more_body": True})

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": self._compressor.finish()})

    async def fail(self, status: int, code: int, message: str, *, close: bool = False) -> None:
        """Respond with an error.

        After the head was sent, the error is appended to the body with ClickHouse's marker.
        ``close`` closes the connection without reading the rest of the request.
        """
        text = message.encode() + b"\n"
        if not self._has_begun:
            headers = {
                **_common_headers(self.query_id),
                "x-clickhouse-exception-code": str(code),
                "content-type": "text/plain; charset=UTF-8",
            }
            if close:
                headers["connection"] = "close"
            if status == 503:
                headers["retry-after"] = "1"
            await send_plain(self._send, status, text, headers)
            return
        tag = self._tag.encode()
        marker = b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n"
        await self.send(marker % (tag, text, len(text), tag))
        await self.finish()


def _common_headers(query_id: str) -> dict[str, str]:
    return {
        "x-clickhouse-query-id": query_id,
        "x-clickhouse-timezone": "UTC",
        "x-clickhouse-server-display-name": "tracemill",
    }


async def _send_head(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def send_plain(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    await _send_head(send, status, {"content-length": str(len(body)), **headers})
    await send({"type": "http.response.body", "body": body})
