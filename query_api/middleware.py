"""What happens to every request."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api import metrics

_BRACKETS: Final = re.compile(rb"(^|&)([A-Za-z_]+)(?:\[\]|%5[Bb]%5[Dd])=")

_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")


class UnbracketLists:
    """Rewrites ``tags[]=a&tags[]=b``, as some clients write lists, to ``tags=a&tags=b``.

    It also quotes bytes that a URL may not contain.
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
    """Counts answers by route (the template, never a path with ids in it) and status."""

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
            # Answered further out, where nothing is known of routes.
            metrics.REQUESTS.labels(_route_of(scope), 500).inc()
            raise


class LimitBodies:
    """Refuses bodies above a limit, noticed before more than that is held, and bodies that do not end in time."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken_bytes = 0
        # Whatever comes after the body, the end of the connection, may take as long as it likes.
        deadline_s: float | None = asyncio.get_running_loop().time() + self._timeout_s
        late = False

        async def limited() -> Message:
            nonlocal taken_bytes, deadline_s, late
            try:
                async with asyncio.timeout_at(deadline_s):
                    message = await receive()
            except TimeoutError:
                metrics.LIMITS_REACHED.labels("body_timeout_s").inc()
                late = True
                raise HTTPException(408, "the body took too long to arrive") from None
            if not message.get("more_body", False):
                deadline_s = None
            taken_bytes += len(message.get("body", b""))
            if taken_bytes > self._max_bytes:
                metrics.LIMITS_REACHED.labels("body_max_bytes").inc()
                raise HTTPException(413, f"the body is larger than {self._max_bytes} bytes")
            return message

        async def hanging_up(message: Message) -> None:
            if late and message["type"] == "http.response.start":
                # The rest of the body would be read for ever.
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, limited, hanging_up)


def _route_of(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")
