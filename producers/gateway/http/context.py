"""What every route of the gateway shares: who calls, what a request may hold, where events go, and how refusals are answered."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from producers import metrics
from producers.control.auth import Authenticator, Principal, authorization_of, note_authenticated
from producers.disk import DiskFloor
from producers.errors import (
    BodyTimeoutError,
    OverloadedError,
    RequestError,
    UnauthorizedError,
    UndeliveredError,
)
from producers.gateway.http.admission import AdmissionGate
from producers.gateway.http.asgi import (
    JSON_TYPE,
    BodyLimits,
    ClientGoneError,
    InFlight,
    Lease,
    answer,
    answer_json,
    headers_of,
    is_gzip,
    read_body,
)
from producers.gateway.http.failures import describe_failure
from producers.gateway.http.gunzip import Gunzip
from producers.gateway.http.places import Place
from producers.gateway.publisher import EventPublisher
from producers.settings import GatewaySettings

UNSENT: Final = 499
INLINE_ITEMS_MAX: Final = 1_000
"""Events or scores of one request that are decoded on the event loop; more go to a thread."""
COMPLAINT_INTERVAL_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayContext:
    settings: GatewaySettings
    authenticator: Authenticator
    publisher: EventPublisher
    in_flight: InFlight
    admission: AdmissionGate
    disk: DiskFloor


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller is known and whose body was read."""

    principal: Principal
    headers: dict[bytes, bytes]
    body: bytes
    received_us: int


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: bytes = JSON_TYPE


class Request(Protocol):
    """A request as HTTP or gRPC delivers it."""

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Header by lower-case name."""

    @property
    def receive(self) -> Receive:
        """Return the next part of the body, as ASGI's ``http.request``."""

    def authorization(self) -> bytes | None:
        """Return the credential; raises as ``authorization_of``."""

    def authenticated(self, principal: Principal) -> None:
        """Note who sends the request."""

    async def admitted(self, principal: Principal) -> None:
        """Prepare to be read, now that the request is not refused at once."""


class HttpRequest:
    """A request of an ASGI server."""

    __slots__ = ("_scope", "headers", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self.headers = headers_of(scope)
        self.receive = receive

    def authorization(self) -> bytes | None:
        return authorization_of(self._scope["headers"])

    def authenticated(self, principal: Principal) -> None:
        note_authenticated(self._scope, principal)

    async def admitted(self, principal: Principal) -> None:
        """The server has bounds of its own for what it reads ahead."""


class Endpoint(ABC):
    """One route: an ASGI application, and ``respond`` for other protocols."""

    name: ClassVar[str]
    body_limit: ClassVar[str]
    """The setting that says how many bytes a body may have as it comes over the wire."""

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
        self._next_complaint_s = 0.0

    @abstractmethod
    async def serve(self, call: Call) -> Answer:
        """Do what the call asks for.

        Raises:
            RequestError: the client's fault.
            OverloadedError, UndeliveredError: the client should try again later.
        """

    def refusal(self, error: RequestError) -> Any:
        """The JSON that tells the client of its fault."""
        return {"message": str(error), "error": type(error).__name__.removesuffix("Error")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.perf_counter()
        status = await self._answer(scope, receive, send)
        metrics.REQUEST_SECONDS.labels(self.name).observe(time.perf_counter() - started_s)
        metrics.REQUESTS.labels(self.name, status).inc()

    async def respond(self, request: Request) -> Answer:
        """Authenticate, wait for a turn if the body is large, read it, and serve the call.

        Raises as ``serve``, and:
            UnauthorizedError: the credential is missing or unknown.
            TimeoutError: the body took longer than ``body_timeout_s``.
            ClientGoneError: the client closed the connection.
        """
        context = self.context
        principal = context.authenticator.authenticate(request.authorization())
        request.authenticated(principal)
        context.disk.refuse_when_low()
        context.publisher.refuse_when_full()
        await request.admitted(principal)
        async with context.admission.admit(principal, request.headers) as place:
            with context.in_flight.lease(principal.share) as lease:
                body = await self._body(principal, request, lease, place)
                received_us = time.time_ns() // 1000
                return await self.serve(Call(principal, request.headers, body, received_us))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        try:
            answered = await self.respond(HttpRequest(scope, receive))
        except RequestError as error:
            return await self._refuse(send, error)
        except (OverloadedError, UndeliveredError) as error:
            return await self._ask_to_wait(send, error)
        except ClientGoneError:
            return UNSENT
        except TimeoutError:
            metrics.LIMIT_REACHED.labels(limit="body_timeout_s").inc()
            return await self._refuse(send, BodyTimeoutError("the body took too long to arrive"))
        except Exception as error:  # noqa: BLE001  the last resort
            describe_failure(self.name, error)
            apology = {"message": "Internal Server Error", "error": "InternalServerError"}
            await answer_json(send, 500, apology)
            return 500
        await answer(send, answered.status, answered.body, content_type=answered.content_type)
        return answered.status

    async def _body(
        self,
        principal: Principal,
        request: Request,
        lease: Lease,
        place: Place | None,
    ) -> bytes:
        """Read and decompress the body; raises as ``read_body`` and ``Gunzip``."""
        limits = self._body_limits if principal.scope == "project" else self._scores_limits
        headers, receive = request.headers, request.receive
        try:
            async with asyncio.timeout(self.context.settings.body_timeout_s) as deadline:
                if place is None:
                    body = await read_body(headers, receive, lease, limits)
                else:
                    with place.being_read(deadline):
                        body = await read_body(headers, receive, lease, limits, place.count)
        except TimeoutError:
            if place is not None and place.given_away:
                limit = "body_rate_min_bytes_per_s"
                raise OverloadedError(limit) from None
            raise
        if is_gzip(headers):
            body = await self._decompressed(principal.share, body, limits, lease)
        metrics.BODY_BYTES.labels(self.name).inc(len(body))
        return body

    async def _decompressed(
        self, share: str, body: bytes, limits: BodyLimits, lease: Lease
    ) -> bytes:
        """Decompress the body: the beginning at once, the rest of a large one in a thread."""
        parts: list[bytes] = []
        size = 0
        pieces = iter(Gunzip(body, limits))
        while True:
            if size < self.context.settings.inline_max_bytes:
                piece = next(pieces, None)
            else:
                piece = await self.context.admission.in_thread(share, partial(next, pieces, None))
            if piece is None:
                break
            size += len(piece)
            lease.take(len(piece))
            parts.append(piece)
        if len(parts) == 1:
            return parts[0]
        if size < self.context.settings.inline_max_bytes:
            return b"".join(parts)
        return await self.context.admission.in_thread(share, partial(b"".join, parts))

    async def _refuse(self, send: Send, error: RequestError) -> int:
        unauthorized = isinstance(error, UnauthorizedError)
        challenge = ((b"www-authenticate", b'Basic realm="tracemill"'),) if unauthorized else ()
        await answer_json(send, error.status, self.refusal(error), headers=challenge)
        return error.status

    def complain(self, error: Exception) -> None:
        """Log that a request is put off, at most once each ``COMPLAINT_INTERVAL_S``."""
        now_s = time.monotonic()
        if now_s >= self._next_complaint_s:
            self._next_complaint_s = now_s + COMPLAINT_INTERVAL_S
            log.warning("requests are put off", route=self.name, reason=str(error))

    async def _ask_to_wait(self, send: Send, error: Exception) -> int:
        self.complain(error)
        retry_after = str(self.context.settings.retry_after_s).encode()
        body = {"message": f"Service Unavailable: {error}", "error": "ServiceUnavailable"}
        await answer_json(send, 503, body, headers=((b"retry-after", retry_after),))
        return 503
