"""HTTP for strangers: uvicorn's protocol with limits on what a request's head may be, before anybody asked who sends it."""

from __future__ import annotations

import asyncio
import json
from array import array
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from deploy.connections import Connections
from deploy.settings import HttpSettings
from producers.control.auth import CONNECTION
from producers.metrics import LIMIT_REACHED

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "POST")
"""Methods that at least one path accepts."""
_SEPARATORS_BYTES: Final = 4
"""Colon, space and line end of a header."""


class RequestParser(httptools.HttpRequestParser):
    """Parse requests that ask for another protocol as if they did not (RFC 9110, 7.8).

    The parser ends such a request after its head: its body would be taken for the next request.
    So the head is parsed again without what asks.
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
    """One connection. Heads are counted where they are parsed; what one read brings beyond a limit is let go with the connection."""

    limits: HttpSettings
    open: Connections
    """Registry of all connections of one server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = RequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._asks_for_upgrade = False
        """Whether the head that was read last is going to be read again, without its upgrade."""
        self._in_head = False
        self._head_bytes = 0
        """Of the head that is being read: what was parsed of it, or all that was received of it."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str, str] | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.open.share_of(self.client[0]) if self.client else ""
        if not self.open.admit(self):
            message = "Too many connections (connections_max)"
            self._refusal = 503, "ServiceUnavailable", message
            self.send_400_response("")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_head_timer()
        self.open.closed(self)
        super().connection_lost(exc)

    def waits_for_peer(self) -> bool:
        """Return whether it is idle, its request is incomplete, or its answer is not being read."""
        if self.is_between_requests() or self._in_head:
            return True
        return self.cycle.more_body or self.flow.write_paused

    def is_between_requests(self) -> bool:
        return not self._in_head and (self.cycle is None or self.cycle.response_complete)

    def evict(self) -> None:
        self.transport.abort()

    def authenticated(self) -> None:
        """Count this connection as a caller's: a request on it was authenticated."""
        self.open.authenticated(self)

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
                self._refuse(431, "head_max_bytes", "The headers are too large")
                self.send_400_response("")
                return
        if self._head_timer is None and (self._in_head or self.is_between_requests()):
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._asks_for_upgrade = False
        self._in_head = True
        self._head_bytes = 0
        self.scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers_max:
            self._refuse(431, "headers_max", "Too many headers")
            raise ValueError
        self._count(len(name) + len(value) + _SEPARATORS_BYTES)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self._method() not in METHODS:  # CONNECT always asks for one
                self._refuse_method()
                raise ValueError
            self._asks_for_upgrade = True
            return
        self._in_head = False
        self._unset_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._asks_for_upgrade:
            super().on_message_complete()

    def head_without_upgrade(self) -> bytes:
        """Return the head that was read last, without its ``Upgrade`` header."""
        version = self.parser.get_http_version()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version.encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_response_complete(self) -> None:
        self.open.request_ended(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what never becomes a request, and close."""
        status, error, message = self._refusal or (400, "BadRequest", msg.rstrip("."))
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
        self.transport.write(b"\r\n".join([*lines, b"", content]))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.limits.head_max_bytes:
            self._refuse(431, "head_max_bytes", "The headers are too large")
            raise ValueError  # ends the parser, which is answered with the refusal

    def _refuse(self, status: int, limit: str, message: str) -> None:
        LIMIT_REACHED.labels(limit=limit).inc()
        method = self._method()
        if method and method not in METHODS:
            self._refuse_method()  # as if the head were well-formed
        else:
            self._refusal = status, "RequestHeaderFieldsTooLarge", f"{message} ({limit})"

    def _refuse_method(self) -> None:
        self._refusal = 405, "MethodNotAllowedError", f"{self._method()} is taken nowhere"

    def _method(self) -> str:
        """Return the method of the head that is being read; empty if not yet read."""
        try:
            return str(self.parser.get_method().decode("ascii"))
        except (httptools.HttpParserError, AttributeError, ValueError):
            return ""

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.head_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        LIMIT_REACHED.labels(limit="head_timeout_s").inc()
        self.transport.close()

    def _unset_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def limited(settings: HttpSettings) -> type[LimitedProtocol]:
    """The protocol with these limits: a server takes a class, not an object."""
    return type("Protocol", (LimitedProtocol,), {"limits": settings, "open": Connections(settings)})
