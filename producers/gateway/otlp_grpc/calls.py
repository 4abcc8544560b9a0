"""Serve a gRPC method: read its message within limits and pass it to an endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NoReturn, Protocol

import grpc

from producers import metrics
from producers.control.auth import SEVERAL, Principal
from producers.errors import BodyError, OverloadedError, UnauthorizedError
from producers.gateway.failures import describe_failure
from producers.gateway.http.body import too_large
from producers.gateway.http.body_quota import BodyQuota
from producers.gateway.http.endpoint import Endpoint
from producers.gateway.http.request import NO_PARAMETERS
from producers.gateway.otlp_grpc.status import failure_of

PROTOBUF: Final = b"application/x-protobuf"
GZIP_MAGIC: Final = b"\x1f\x8b"
"""Start of a gzip body. No protobuf message starts with it: its wire type does not exist."""
_OWN_HEADERS: Final = frozenset({b"content-type", b"content-length", b"content-encoding"})
"""Headers that describe a body in HTTP; they are ignored in metadata."""


class Context(Protocol):
    """The part of grpcio's context of a call that this package uses."""

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...] | None: ...

    async def read(self) -> Any: ...

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Any
    ) -> NoReturn: ...


class Reading:
    """Receive the messages of calls, of a limited number of calls at the same time.

    gRPC keeps a message in memory until it is complete, and does not declare its length in advance.
    """

    def __init__(self, quota: BodyQuota, body_timeout_s: float, limit: str) -> None:
        self._quota = quota
        self._body_timeout_s = body_timeout_s
        self._limit = limit

    async def message(self, quota_key: str, context: Context) -> bytes:
        """Return the message of a call.

        Raises:
            BodyError: the call ended without a message.
            OverloadedError: too many messages are being received, or this one arrives slowly while
                others are waiting.
            TimeoutError: the message did not arrive within ``body_timeout_s``.
        """
        async with self._quota.slot(quota_key) as slot:
            try:
                async with asyncio.timeout(self._body_timeout_s) as deadline:
                    with slot.reading_body(deadline):
                        message = await context.read()
            except TimeoutError:
                if slot.is_revoked:
                    raise OverloadedError(self._limit) from None
                raise
        if message is grpc.aio.EOF:
            raise BodyError("the call has no message")
        assert isinstance(message, bytes)
        return message


class GrpcRequest:
    """Present a gRPC call as a request of the gateway.

    Raises:
        TooLargeError: the call has too much metadata.
    """

    def __init__(self, context: Context, reading: Reading, metadata_max_bytes: int) -> None:
        self._context = context
        self._reading = reading
        self._credentials: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self._message = b""
        bytes_left = metadata_max_bytes
        for key, value in context.invocation_metadata() or ():
            name = key.encode()
            text = value if isinstance(value, bytes) else value.encode(errors="replace")
            bytes_left -= len(name) + len(text)
            if bytes_left < 0:  # gRPC limits it only once the client has acknowledged its limit
                raise too_large("metadata", "metadata_max_bytes", metadata_max_bytes)
            if name == b"authorization":
                self._credentials.append(text)
            if name not in _OWN_HEADERS:
                self.headers[name] = text

    @property
    def path_parameters(self) -> Mapping[str, str]:
        return NO_PARAMETERS

    def authorization(self) -> bytes | None:
        if len(self._credentials) > 1:
            raise UnauthorizedError(SEVERAL)
        return self._credentials[0] if self._credentials else None

    def authenticated(self, principal: Principal) -> None:
        """Do nothing, because gRPC has its own limits of connections."""

    async def admitted(self, principal: Principal) -> None:
        """Receive the message, and set the headers that would describe it in HTTP.

        Raises as ``Reading.message``.
        """
        self._message = await self._reading.message(principal.project_id, self._context)
        self.headers[b"content-type"] = PROTOBUF
        self.headers[b"content-length"] = str(len(self._message)).encode()
        if self._message.startswith(GZIP_MAGIC):
            self.headers[b"content-encoding"] = b"gzip"

    async def receive(self) -> dict[str, Any]:
        """Return the message as ASGI's ``http.request``, once."""
        message, self._message = self._message, b""
        return {"type": "http.request", "body": message, "more_body": False}


class Method:
    """A gRPC method that an endpoint serves."""

    def __init__(self, endpoint: Endpoint, reading: Reading, metadata_max_bytes: int) -> None:
        self._endpoint = endpoint
        self._reading = reading
        self._metadata_max_bytes = metadata_max_bytes

    async def serve(self, _: AsyncIterator[bytes], context: Context) -> bytes:
        """Return the response message, or abort the call with the status of an error."""
        started_s = time.perf_counter()
        name, status = self._endpoint.name, grpc.StatusCode.CANCELLED
        try:
            request = GrpcRequest(context, self._reading, self._metadata_max_bytes)
            response = await self._endpoint.respond(request)
            status = grpc.StatusCode.OK
        except Exception as error:  # noqa: BLE001  the last resort
            failure = failure_of(error, self._endpoint.context.settings.retry_after_s)
            status = failure.code
            self._report(error, status)
            await context.abort(status, failure.message, failure.metadata)
        finally:
            metrics.REQUEST_SECONDS.labels(name).observe(time.perf_counter() - started_s)
            metrics.REQUESTS.labels(name, status.name).inc()
        return response.body

    def _report(self, error: Exception, status: grpc.StatusCode) -> None:
        if status is grpc.StatusCode.INTERNAL:
            describe_failure(self._endpoint.name, error)
        elif status is grpc.StatusCode.UNAVAILABLE:
            self._endpoint.log_deferred(error)
        elif isinstance(error, TimeoutError):
            metrics.LIMIT_REACHED.labels(limit="body_timeout_s").inc()
