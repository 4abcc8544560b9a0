"""Run periodic work concurrently with a loop, one run at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any


class Recurring:
    """Periodic work that starts at most every ``interval_s``, and never overlaps itself."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], interval_s: float) -> None:
        self._work = work
        self._interval_s = interval_s
        self._due_at_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def start_if_due(self) -> None:
        """Start a run if it is due; raise the error of the last run."""
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
        """Cancel the current run."""
        if self._task is not None:
            self._task.cancel()
