"""Define a request independently of its protocol, and requests of ASGI servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.types import Receive, Scope

from producers.control.auth import Principal, authorization_of, note_authenticated
from producers.gateway.limits.meter import Meter


class Request(Protocol):
    """A request as HTTP or gRPC delivers it."""

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the headers by lower-case name."""

    @property
    def receive(self) -> Receive:
        """Return ASGI's function that receives the next part of the body."""

    def authorization(self) -> bytes | None:
        """Return the credential; raises as ``authorization_of``."""

    def authenticated(self, principal: Principal) -> None:
        """Record who sent the request."""

    async def admitted(self, principal: Principal) -> None:
        """Prepare the body for being read, now that the request was not refused at once."""


class HttpRequest:
    """A request of an ASGI server."""

    __slots__ = ("_scope", "headers", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """Of a repeated header the last value."""
        self.receive = receive

    def authorization(self) -> bytes | None:
        return authorization_of(self._scope["headers"])

    def authenticated(self, principal: Principal) -> None:
        note_authenticated(self._scope, principal)

    async def admitted(self, principal: Principal) -> None:
        """Do nothing: the server limits what it reads ahead."""


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request whose body was read."""

    principal: Principal
    headers: dict[bytes, bytes]
    body: bytes
    received_us: int
    meter: Meter | None = None
    """The limits of the caller; None: it has none."""
