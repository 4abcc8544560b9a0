"""Keep the records of a partition whose worker is full, so that other partitions continue.

All partitions of a process share one consumer, which waits while a record is passed on. A worker
may be full for long, for example while the store does not answer. So its records wait here, and
fetching of its partition is paused: at most the records that were already fetched wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from streams.runtime.partition_worker import SourceMessage


class Overflow:
    """The records of one partition that wait until its worker accepts them."""

    def __init__(
        self,
        put: Callable[[SourceMessage], Awaitable[None]],
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        """Pause fetching, and begin to pass records on.

        Args:
            put: passes a record to the worker; it may wait.
            pause: pauses fetching of the partition; it may be called again.
            resume: ends the pause.
        """
        self._put = put
        self._pause = pause
        self._resume = resume
        self._waiting: deque[SourceMessage] = deque()
        self.task = asyncio.create_task(self._pass_on())

    @property
    def has_ended(self) -> bool:
        """Return whether all records were passed on, so that later ones need not wait."""
        return self.task.done()

    def add(self, message: SourceMessage) -> None:
        """Add the next record."""
        self._waiting.append(message)
        self._pause()

    async def _pass_on(self) -> None:
        while self._waiting:
            await self._put(self._waiting[0])
            self._waiting.popleft()
        self._resume()
