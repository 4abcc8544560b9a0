"""Define a request independently of its protocol, and requests of ASGI servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from starlette.types import Receive, Scope

from producers.control.auth import Principal, authorization_of, note_authenticated
from producers.gateway.limits.meter import Meter

NO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType({})


class Request(Protocol):
    """A request by HTTP or gRPC."""

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the headers by lower-case name."""

    @property
    def receive(self) -> Receive:
        """Return the ASGI function that receives the next part of the body."""

    @property
    def path_parameters(self) -> Mapping[str, str]:
        """Return the values of the route's parameters."""

    def authorization(self) -> bytes | None:
        """Return the ``Authorization`` header; raise as ``authorization_of``."""

    def authenticated(self, principal: Principal) -> None:
        """Mark the connection as authenticated."""

    async def admitted(self, principal: Principal) -> None:
        """Prepare reading the body, after the checks that do not need it."""


class HttpRequest:
    """A request of an ASGI server."""

    __slots__ = ("_scope", "headers", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """Headers by lower-case name; a repeated header has its last value."""
        self.receive = receive

    @property
    def path_parameters(self) -> Mapping[str, str]:
        parameters: Mapping[str, str] = self._scope.get("path_params", NO_PARAMETERS)
        return parameters

    def authorization(self) -> bytes | None:
        return authorization_of(self._scope["headers"])

    def authenticated(self, principal: Principal) -> None:
        note_authenticated(self._scope, principal)

    async def admitted(self, principal: Principal) -> None:
        """Do nothing, because the server limits how much it reads in advance."""


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request whose body was read."""

    principal: Principal
    headers: dict[bytes, bytes]
    body: bytes
    received_us: int
    meter: Meter | None = None
    """The limits of the caller; None if it has none."""
    path_parameters: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
