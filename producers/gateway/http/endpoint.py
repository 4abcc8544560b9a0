"""Serve requests: authenticate them, limit them, read their bodies, and report errors."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final

import structlog
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from producers import metrics
from producers.control.auth import Principal
from producers.control.scopes import Scope
from producers.errors import (
    BodyTimeoutError,
    OverloadedError,
    RequestError,
    TooManyRequestsError,
    UnauthorizedError,
    UndeliveredError,
)
from producers.gateway.event_batch import EventBatch
from producers.gateway.failures import describe_failure
from producers.gateway.http.body import (
    BodyLimits,
    ClientGoneError,
    declared_bytes,
    is_gzip,
    read_body,
)
from producers.gateway.http.body_quota import BodySlot
from producers.gateway.http.context import GatewayContext
from producers.gateway.http.gunzip import Gunzip
from producers.gateway.http.in_flight import Lease
from producers.gateway.http.request import Call, HttpRequest, Request
from producers.gateway.http.response import Response, send_json, send_response
from tracemill.clock import now_us

UNSENT: Final = 499
"""Status in metrics of a request whose client has closed the connection."""
INLINE_ITEMS_MAX: Final = 1_000
"""Maximum number of events or scores of a request that are decoded on the event loop."""
DEFERRED_LOG_INTERVAL_S: Final = 1.0

log = structlog.get_logger(__name__)


class Endpoint(ABC):
    """A route: an ASGI application, with ``respond`` for other protocols."""

    name: ClassVar[str]
    body_limit: ClassVar[str]
    """Name of the setting that limits the size of a body before decompression."""
    scopes: ClassVar[tuple[Scope, ...]] = ()
    """The credential must have one of these scopes; if there are none, every request is refused."""

    def __init__(self, context: GatewayContext) -> None:
        settings = context.settings
        self.context = context
        self._body_limits = BodyLimits(
            setting=self.body_limit,
            wire_max_bytes=getattr(settings, self.body_limit),
            decompressed_max_bytes=settings.decompressed_max_bytes,
            gzip_members_max=settings.gzip_members_max,
        )
        self._scores_limits = replace(
            self._body_limits,
            decompressed_setting="public_key_body_max_bytes",
            decompressed_max_bytes=min(
                settings.public_key_body_max_bytes, settings.decompressed_max_bytes
            ),
        )
        self._next_log_s = 0.0

    @abstractmethod
    async def serve(self, call: Call) -> Response:
        """Process a call.

        Raises:
            RequestError: the request is invalid.
            OverloadedError, UndeliveredError: the client should send it again later.
        """

    def refusal(self, error: RequestError) -> Any:
        """Return the JSON body of an error response."""
        return {"message": str(error), "error": type(error).__name__.removesuffix("Error")}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        status = await self._respond(scope, receive, send)
        metrics.REQUEST_SECONDS.labels(self.name).observe(time.perf_counter() - started_s)
        metrics.REQUESTS.labels(self.name, status).inc()

    async def respond(self, request: Request) -> Response:
        """Authenticate the caller, read the body (a large one in a slot), and serve the call.

        Raises as ``serve``, and:
            UnauthorizedError: the credential is missing or unknown.
            TooManyRequestsError: the project exceeds a limit.
            ForbiddenError: the credential lacks the scope.
            TimeoutError: the body took longer than ``body_timeout_s``.
            ClientGoneError: the client closed the connection.
        """
        context = self.context
        principal = context.authenticator.authenticate(request.authorization())
        request.authenticated(principal)
        principal.require(*self.scopes)
        context.disk.refuse_when_low()
        context.publisher.refuse_when_full()
        meter = context.limits.meter_of(principal)
        declared = 0
        if meter is not None:
            # Before the body is read, only its declared length is known, and that it has an event.
            declared = declared_bytes(request.headers)
            meter.check(1, declared)
        await request.admitted(principal)
        async with context.admission.admit(principal, request.headers) as slot:
            with context.in_flight.lease(principal.quota_key) as lease:
                body = await self._body(principal, request, lease, slot)
                received_us = now_us()
                if meter is not None and len(body) > declared:
                    meter.check(1, len(body))
                call = Call(
                    principal, request.headers, body, received_us, meter, request.path_parameters
                )
                return await self.serve(call)

    async def serve_from_console(self, principal: Principal, body: bytes) -> Response:
        """Serve the body of a caller that is authenticated already, with all limits of a request.

        Raises as ``serve``, and:
            ForbiddenError: the credential lacks the scope.
            TooManyRequestsError: the project exceeds a limit.
        """
        context = self.context
        principal.require(*self.scopes)
        context.disk.refuse_when_low()
        context.publisher.refuse_when_full()
        meter = context.limits.meter_of(principal)
        if meter is not None:
            meter.check(1, len(body))
        with context.in_flight.lease(principal.quota_key) as lease:
            lease.take(len(body))
            return await self.serve(Call(principal, {}, body, now_us(), meter))

    async def publish(self, call: Call, batch: EventBatch) -> None:
        """Publish the events of a call if they are within the project's limits.

        Raises as ``EventPublisher.publish``, and:
            TooManyRequestsError: the project exceeds a limit; nothing was published.
        """
        publisher, meter = self.context.publisher, call.meter
        if meter is None:
            await publisher.publish(batch)
            return
        meter.take(batch.item_count, len(call.body))
        try:
            await publisher.publish(batch)
        except BaseException:
            meter.put_back(batch.item_count, len(call.body))
            raise

    async def _respond(self, scope: AsgiScope, receive: Receive, send: Send) -> int:
        try:
            response = await self.respond(HttpRequest(scope, receive))
        except RequestError as error:
            return await self._refuse(send, error)
        except (OverloadedError, UndeliveredError) as error:
            return await self._defer(send, error)
        except ClientGoneError:
            return UNSENT
        except TimeoutError:
            metrics.LIMIT_REACHED.labels(limit="body_timeout_s").inc()
            return await self._refuse(send, BodyTimeoutError("the body took too long to arrive"))
        except Exception as error:  # noqa: BLE001  the last resort
            describe_failure(self.name, error)
            body = {"message": "Internal Server Error", "error": "InternalServerError"}
            await send_json(send, 500, body)
            return 500
        await send_response(send, response)
        return response.status

    async def _body(
        self,
        principal: Principal,
        request: Request,
        lease: Lease,
        slot: BodySlot | None,
    ) -> bytes:
        """Read and decompress the body; raise as ``read_body`` and ``Gunzip``."""
        limits = self._body_limits if principal.has_secret else self._scores_limits
        headers, receive = request.headers, request.receive
        try:
            async with asyncio.timeout(self.context.settings.body_timeout_s) as deadline:
                if slot is None:
                    body = await read_body(headers, receive, lease, limits)
                else:
                    with slot.reading_body(deadline):
                        body = await read_body(headers, receive, lease, limits, slot.count)
        except TimeoutError:
            if slot is not None and slot.is_revoked:
                limit = "body_rate_min_bytes_per_s"
                raise OverloadedError(limit) from None
            raise
        if is_gzip(headers):
            body = await self._decompressed(principal.quota_key, body, limits, lease)
        metrics.BODY_BYTES.labels(self.name).inc(len(body))
        return body

    async def _decompressed(
        self, quota_key: str, body: bytes, limits: BodyLimits, lease: Lease
    ) -> bytes:
        """Decompress a body: ``inline_max_bytes`` on the event loop, and the rest in a thread."""
        parts: list[bytes] = []
        size = 0
        pieces = iter(Gunzip(body, limits))
        while True:
            if size < self.context.settings.inline_max_bytes:
                piece = next(pieces, None)
            else:
                piece = await self.context.admission.in_thread(
                    quota_key, partial(next, pieces, None)
                )
            if piece is None:
                break
            size += len(piece)
            lease.take(len(piece))
            parts.append(piece)
        if len(parts) == 1:
            return parts[0]
        if size < self.context.settings.inline_max_bytes:
            return b"".join(parts)
        return await self.context.admission.in_thread(quota_key, partial(b"".join, parts))

    async def _refuse(self, send: Send, error: RequestError) -> int:
        headers: tuple[tuple[bytes, bytes], ...] = ()
        if isinstance(error, UnauthorizedError):
            headers = ((b"www-authenticate", b'Basic realm="tracemill"'),)
        elif isinstance(error, TooManyRequestsError):
            headers = ((b"retry-after", str(error.retry_after_s).encode()),)
        await send_json(send, error.status, self.refusal(error), headers=headers)
        return error.status

    def log_deferred(self, error: Exception) -> None:
        """Log a 503 response, at most once per ``DEFERRED_LOG_INTERVAL_S``."""
        now_s = time.monotonic()
        if now_s >= self._next_log_s:
            self._next_log_s = now_s + DEFERRED_LOG_INTERVAL_S
            log.warning("requests deferred", route=self.name, reason=str(error))

    async def _defer(self, send: Send, error: Exception) -> int:
        self.log_deferred(error)
        retry_after = str(self.context.settings.retry_after_s).encode()
        body = {"message": f"Service Unavailable: {error}", "error": "ServiceUnavailable"}
        await send_json(send, 503, body, headers=((b"retry-after", retry_after),))
        return 503
