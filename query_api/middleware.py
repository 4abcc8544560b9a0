"""Define the middleware for all requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api import metrics

_BRACKETS: Final = re.compile(rb"(^|&)([A-Za-z_]+)(?:\[\]|%5[Bb]%5[Dd])=")

DOCUMENT_PATHS: Final = (
    "/api/public/comments",
    "/api/public/dataset",
    "/api/public/v2/datasets",
    "/v1/datasets",
)
"""Beginnings of the paths whose bodies are documents."""
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")


class UnbracketLists:
    """Rewrite lists of some clients from ``tags[]=a&tags[]=b`` to ``tags=a&tags=b``.

    Percent-encode bytes that are invalid in URLs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        if not query.isascii():
            query = _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], query)
            scope = {**scope, "query_string": query}
        if b"[]" in query or b"%5" in query:
            scope = {**scope, "query_string": _BRACKETS.sub(rb"\1\2=", query)}
        await self._app(scope, receive, send)


class CountRequests:
    """Count responses by route (its template, without ids) and status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                metrics.REQUESTS.labels(_route_of(scope), message["status"]).inc()
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            # Other middleware has responded before routing.
            metrics.REQUESTS.labels(_route_of(scope), 500).inc()
            raise


class LimitBodies:
    """Refuse bodies that are too large or arrive too slowly, while they are being received."""

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        timeout_s: float,
        of_paths: Sequence[tuple[tuple[str, ...], str, int]] = (),
    ) -> None:
        """Limit bodies to ``max_bytes``.

        ``of_paths`` has other limits: beginnings of paths, the setting and its value.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._of_paths = of_paths
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_bytes = 0
        limit, max_bytes = "body_max_bytes", self._max_bytes
        for beginnings, setting, value in self._of_paths:
            if scope.get("path", "").startswith(beginnings):
                limit, max_bytes = setting, value
        # After the body, the application only waits for the end of the connection, without a limit.
        deadline_s: float | None = asyncio.get_running_loop().time() + self._timeout_s
        late = False

        async def limited() -> Message:
            nonlocal received_bytes, deadline_s, late
            try:
                async with asyncio.timeout_at(deadline_s):
                    message = await receive()
            except TimeoutError:
                metrics.LIMITS_REACHED.labels("body_timeout_s").inc()
                late = True
                raise HTTPException(408, "the body took too long to arrive") from None
            if not message.get("more_body", False):
                deadline_s = None
            received_bytes += len(message.get("body", b""))
            if received_bytes > max_bytes:
                metrics.LIMITS_REACHED.labels(limit).inc()
                raise HTTPException(413, f"the body is larger than {max_bytes} bytes ({limit})")
            return message

        async def closing_if_late(message: Message) -> None:
            if late and message["type"] == "http.response.start":
                # Otherwise the server would read the rest of the body.
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, limited, closing_if_late)


def _route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")
