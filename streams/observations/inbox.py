"""Queue the source records of a partition between the consumer and the fold."""

from __future__ import annotations

import asyncio
from collections import deque

from streams.runtime.partition_worker import SourceMessage


class Inbox:
    """A bounded queue of the source records of one partition."""

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._waiting: deque[SourceMessage] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return self.limit_reached is not None

    @property
    def limit_reached(self) -> str | None:
        """Return the name of the limit that makes ``put`` wait now; None if it does not wait."""
        if len(self._waiting) >= self._records_max:
            return "inbox_records_max"
        return "inbox_bytes_max" if self._bytes >= self._bytes_max else None

    async def close(self) -> None:
        """Make ``put`` drop records instead of waiting; wake callers that wait."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def put(self, message: SourceMessage) -> None:
        """Append a record; wait while the queue is full."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or not self.is_full)
            if self._closed:
                return
            self._waiting.append(message)
            self._bytes += len(message.value)
            self._changed.notify_all()

    async def take(self, records_max: int, bytes_max: int) -> list[SourceMessage]:
        """Remove and return the next records; wait until there is one.

        Returns at most ``records_max`` records, of at most ``bytes_max`` in total unless the first
        is larger.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) > 0)
            taken: list[SourceMessage] = []
            size = 0
            while self._waiting and len(taken) < records_max:
                size += len(self._waiting[0].value)
                if taken and size > bytes_max:
                    break
                taken.append(self._waiting.popleft())
            self._bytes -= sum(len(message.value) for message in taken)
            self._changed.notify_all()
            return taken

    def has_chunk(self, records: int, size_bytes: int) -> bool:
        """Return whether there are enough records or bytes for a full chunk."""
        return len(self._waiting) >= records or self._bytes >= size_bytes
