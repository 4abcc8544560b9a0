"""Extend uvicorn's HTTP protocol with limits that apply before a request is authenticated."""

from __future__ import annotations

import asyncio
import json
from array import array
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from deploy.connections import Connections
from deploy.response_writer import ResponseWriter
from deploy.settings import HttpSettings
from producers.control.auth import CONNECTION
from producers.metrics import LIMIT_REACHED
from producers.options_requests import OPTIONS, ROUTE_METHODS

METHODS: Final = tuple(sorted({*ROUTE_METHODS, "HEAD", OPTIONS}))
"""Methods that at least one path accepts."""
_SEPARATORS_BYTES: Final = 4
"""Colon, space and line end of a header."""


class RequestParser(httptools.HttpRequestParser):
    """A parser that ignores ``Upgrade`` headers (RFC 9110, section 7.8).

    The library's parser stops after the head of such a request and would parse its body as the next
    request. Therefore the head is parsed again without the header.
    """

    def __init__(self, protocol: LimitedProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: bytes | bytearray | memoryview[int] | array[int]) -> None:
        rest = memoryview(data)
        while True:
            try:
                super().feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                super().feed_data(self._protocol.head_without_upgrade())
            else:
                return


class LimitedProtocol(HttpToolsProtocol):
    """One connection, with limits on the size, the headers and the duration of a request's head.

    The size is counted while the head is parsed. A request above a limit is answered with an error,
    and the connection is closed.
    """

    limits: HttpSettings
    open_connections: Connections
    """Registry of all connections of one server."""
    writer: ResponseWriter
    """Writes the responses of this connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._upgrade_requested = False
        """Whether the last head will be parsed again without ``Upgrade``."""
        self._in_head = False
        self._head_bytes = 0
        """Bytes of the current head: the number parsed or the number received, if it is higher."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._rejection: tuple[int, str, str] | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.writer = ResponseWriter(transport, self.loop)
        self.address = self.open_connections.limited_address(self.client[0]) if self.client else ""
        if not self.open_connections.admit(self):
            message = "Too many connections (connections_max)"
            self._rejection = 503, "ServiceUnavailable", message
            self.send_400_response("")
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        self.open_connections.closed(self)
        super().connection_lost(exc)

    def waits_for_peer(self) -> bool:
        """Return whether the connection is idle, or the client has not sent or read everything."""
        if self.is_between_requests() or self._in_head:
            return True
        return self.cycle.more_body or self.flow.write_paused

    def is_between_requests(self) -> bool:
        return not self._in_head and (self.cycle is None or self.cycle.response_complete)

    def evict(self) -> None:
        self.transport.abort()

    def authenticated(self) -> None:
        """Mark this connection as authenticated, because a request on it had a valid secret key."""
        self.open_connections.authenticated(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        received_before = self._head_bytes if self._in_head else None
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            if received_before is not None:
                self._head_bytes = max(self._head_bytes, received_before + len(data))
            if self._head_bytes > self.limits.head_max_bytes:
                self._reject(431, "head_max_bytes", "The headers are too large")
                self.send_400_response("")
                return
        if self._head_timer is None and (self._in_head or self.is_between_requests()):
            self._start_head_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._upgrade_requested = False
        self._in_head = True
        self._head_bytes = 0
        self.scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers_max:
            self._reject(431, "headers_max", "Too many headers")
            raise ValueError
        self._count(len(name) + len(value) + _SEPARATORS_BYTES)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self._method() not in METHODS:  # CONNECT is always an upgrade
                self._reject_method()
                raise ValueError
            self._upgrade_requested = True
            return
        self._in_head = False
        self._cancel_head_timer()
        super().on_headers_complete()
        # The task of the request begins after this callback.
        self.cycle.transport = self.writer  # type: ignore[assignment]  # has all that it needs

    def on_message_complete(self) -> None:
        if not self._upgrade_requested:
            super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """Return the last head without its ``Upgrade`` header."""
        version = self.parser.get_http_version()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_response_complete(self) -> None:
        self.writer.flush()
        self.open_connections.request_ended(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Respond to a request whose head is invalid or too large, and close the connection."""
        status, error, message = self._rejection or (400, "BadRequest", msg.rstrip("."))
        content = json.dumps({"message": message, "error": error}).encode()
        lines = [
            STATUS_LINE[status].rstrip(),
            b"content-type: application/json",
            b"content-length: %d" % len(content),
            b"connection: close",
        ]
        if status == 405:
            lines.append(b"allow: " + ", ".join(METHODS).encode())
        if status == 503:
            lines.append(b"retry-after: 1")
        self.writer.flush()
        self.transport.write(b"\r\n".join([*lines, b"", content]))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.limits.head_max_bytes:
            self._reject(431, "head_max_bytes", "The headers are too large")
            raise ValueError  # makes the parser fail; `send_400_response` sends the rejection

    def _reject(self, status: int, limit: str, message: str) -> None:
        LIMIT_REACHED.labels(limit=limit).inc()
        method = self._method()
        if method and method not in METHODS:
            self._reject_method()  # takes precedence over the limit
        else:
            self._rejection = status, "RequestHeaderFieldsTooLarge", f"{message} ({limit})"

    def _reject_method(self) -> None:
        message = f"No path accepts the method {self._method()}"
        self._rejection = 405, "MethodNotAllowedError", message

    def _method(self) -> str:
        """Return the method of the current head; empty if it is not read yet."""
        try:
            return str(self.parser.get_method().decode("ascii"))
        except (httptools.HttpParserError, AttributeError, ValueError):
            return ""

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.head_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        LIMIT_REACHED.labels(limit="head_timeout_s").inc()
        self.transport.close()

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def limited_protocol(settings: HttpSettings) -> type[LimitedProtocol]:
    """Return a protocol class with these limits, because uvicorn needs a class, not an object."""
    return type(
        "Protocol",
        (LimitedProtocol,),
        {"limits": settings, "open_connections": Connections(settings)},
    )
