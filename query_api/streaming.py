"""Send a response in parts, and release what it holds, also if the client left before it began."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from producers.head_requests import IS_HEAD


class ReleasingResponse(StreamingResponse):
    """A response in parts that calls ``release`` once, however it ends.

    The iterator cannot do so in ``finally``: it is never started if the client has already left.
    """

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        release: Callable[[], None],
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(parts, media_type=media_type, headers=headers)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope.get(IS_HEAD):  # otherwise all parts would be made for nobody
                head = {"status": self.status_code, "headers": self.raw_headers}
                await send({"type": "http.response.start", **head})
                await send({"type": "http.response.body", "body": b""})
                return
            await super().__call__(scope, receive, send)
        finally:
            self._release()
