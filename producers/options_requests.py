"""Serve `OPTIONS` requests that are not CORS preflights: return the methods of the path."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPTIONS: Final = "OPTIONS"
ROUTE_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")
"""Methods of routes. Middleware serves ``HEAD`` and ``OPTIONS``."""


class ServeOptionsRequests:
    """Replace the status 405 of `OPTIONS` requests by 204 with the allowed methods."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != OPTIONS:
            await self._app(scope, receive, send)
            return
        is_answered = False

        async def listing(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start" and message["status"] == 405:
                is_answered = True
                headers = [h for h in message["headers"] if not h[0].startswith(b"content-")]
                allowed = [value for name, value in headers if name == b"allow"]
                methods = {method for value in allowed for method in methods_in(value)}
                kept = [header for header in headers if header[0] != b"allow"]
                allow = ", ".join(sorted(methods | {OPTIONS})).encode()
                await send({**message, "status": 204, "headers": [*kept, (b"allow", allow)]})
            elif not is_answered:
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b""})

        await self._app(scope, receive, listing)


def methods_in(allow: bytes) -> set[str]:
    """Return the methods that an `Allow` header lists."""
    return {method.strip() for method in allow.decode("latin-1").split(",")} - {""}
