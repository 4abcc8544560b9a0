"""What happens to every request."""

from __future__ import annotations

import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from query_api import metrics

_BRACKETS: Final = re.compile(rb"(^|&)([A-Za-z_]+)(?:\[\]|%5[Bb]%5[Dd])=")


class UnbracketLists:
    """Reads ``tags[]=a&tags[]=b``, as some clients write lists, like ``tags=a&tags=b``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
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
                route = getattr(scope.get("route"), "path", "none")
                metrics.REQUESTS.labels(route, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counted)
