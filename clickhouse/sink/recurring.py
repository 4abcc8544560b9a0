"""Work that comes again and again beside the loop: one run at a time, and none in a pile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any


class Recurring:
    """Starts ``work`` every ``interval_s`` at most, and not before the last run has ended."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], interval_s: float) -> None:
        self._work = work
        self._interval_s = interval_s
        self._due_at_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def start_if_due(self) -> None:
        """Begin a run if it is time; raises what the last one raised."""
        if self._task is not None:
            if not self._task.done():
                return
            task, self._task = self._task, None
            task.result()
        now_s = time.monotonic()
        if now_s >= self._due_at_s:
            self._due_at_s = now_s + self._interval_s
            self._task = asyncio.create_task(self._work())

    def cancel(self) -> None:
        """Give up the run that is under way."""
        if self._task is not None:
            self._task.cancel()
