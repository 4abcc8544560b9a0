"""Read from a proxy on this machine whether its client uses HTTPS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
LOOPBACK: Final = ("127.0.0.1", "::1")
SCHEMES: Final = {b"http": "http", b"https": "https"}


def with_forwarded_scheme(app: App) -> App:
    """Return ``app`` with the scheme of ``X-Forwarded-Proto`` in requests from this machine.

    The address of the client remains that of the connection, unlike with ``proxy_headers`` of
    uvicorn: limits count attempts by address, and clients can send ``X-Forwarded-For``.
    """

    async def forwarded(scope: Scope, receive: Any, send: Any) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client and client[0] in LOOPBACK:
            for name, value in scope["headers"]:
                if name == b"x-forwarded-proto" and value in SCHEMES:
                    scope["scheme"] = SCHEMES[value]
        await app(scope, receive, send)

    return forwarded
