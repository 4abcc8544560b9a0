"""Run previews of forms. Of those of a session, only the latest one is computed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from query_api.console.page import View

T = TypeVar("T")


class Previews:
    """The previews that are being computed, by session; there is at most one of each."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def latest(self, session_id: str, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of ``work``; None if a later preview of the session has replaced it.

        A form is previewed while it is written, and a preview can take longer than a key press.
        """
        task = asyncio.ensure_future(work)
        earlier = self._running.get(session_id)
        if earlier is not None:
            earlier.cancel()
        self._running[session_id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if self._running.get(session_id) is task:  # the request itself was cancelled
                task.cancel()
                raise
            return None
        finally:
            if self._running.get(session_id) is task:
                del self._running[session_id]


async def latest_preview(view: View, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of ``work``; None if a later preview of the session has replaced it."""
    previews: Previews = view.context.shared(Previews, Previews)
    return await previews.latest(view.session.id, work)
