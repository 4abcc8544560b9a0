"""Connect to receivers of webhooks and read a limited number of bytes.

The HTTP library reads any number of informational responses (1xx) and headers of any length. These
connections fail after a number of bytes, which limits the time for parsing a response.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import httpcore

from streams.notifications import metrics


class BoundedStream(httpcore.AsyncNetworkStream):
    """A connection that reads at most ``bytes_max`` bytes."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, bytes_max: int) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._left = bytes_max

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # the library's interface
        if self._left <= 0:
            metrics.LIMIT_REACHED.labels("answer_head_max_bytes").inc()
            raise httpcore.ReadError(f"the response's head has more than {self._bytes_max} bytes")
        received = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(received)
        return received

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            # The library does not close the connection if the handshake is cancelled, so a receiver
            # could keep the socket open forever.
            await self._stream.aclose()
            raise
        return BoundedStream(stream, self._bytes_max)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.AnyIOBackend):
    """A network backend that opens bounded connections."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__()
        self._bytes_max = bytes_max

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            require_peer(stream.get_extra_info("server_addr"), host)
        except BaseException:
            await stream.aclose()
            raise
        return BoundedStream(stream, self._bytes_max)


def require_peer(peer: Any, host: str) -> None:
    """Check that a socket is connected to the address that was checked.

    Raises:
        ConnectError: it is connected to another address, or the address is not known.
    """
    address = peer[0].partition("%")[0] if isinstance(peer, tuple) and peer else None
    if address is None or ip_address(address) != ip_address(host):
        raise httpcore.ConnectError(f"the connection to {host} leads to {address}")
