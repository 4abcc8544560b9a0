"""Serve `HEAD` on every path that allows `GET`."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.options_requests import methods_in

GET: Final = "GET"
HEAD: Final = "HEAD"
IS_HEAD: Final = "tracemill.is_head"
"""Key of the scope of a request without a body, for responses that would never end."""
METHOD_NOT_ALLOWED: Final = 405


class ServeHeadRequests:
    """Serve `HEAD` as `GET` without the body, and add `HEAD` to `Allow` headers with `GET`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_head = scope["method"] == HEAD

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == METHOD_NOT_ALLOWED:
                    message = {**message, "headers": _with_head(message["headers"])}
                await send(message)
            elif not is_head:
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b""})

        inner = {**scope, "method": GET, IS_HEAD: True} if is_head else scope
        await self._app(inner, receive, send_without_body)


def _with_head(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers with `HEAD` added to an `Allow` header that lists `GET`."""
    found = []
    for name, value in headers:
        methods = methods_in(value) if name == b"allow" else set()
        allows_get = GET in methods
        found.append(
            (name, ", ".join(sorted(methods | {HEAD})).encode()) if allows_get else (name, value)
        )
    return found
