"""Queue the lines of one partition in chunks, which are sent round-robin over projects."""

from __future__ import annotations

import asyncio
from collections import deque


class Chunk:
    """Lines of a request for one partition that fit in one record."""

    __slots__ = ("acked", "lines", "project_id", "queue", "size")

    def __init__(
        self, queue: PartitionQueue, project_id: str, lines: list[bytes], size: int
    ) -> None:
        self.queue = queue
        self.project_id = project_id
        self.lines = lines
        self.size = size
        self.acked: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class PartitionQueue:
    """The queue of one partition: chunks of a project in order, and round-robin over projects."""

    __slots__ = ("filled", "filled_at_s", "partition", "queues", "sending_since_s", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.queues: dict[str, deque[Chunk]] = {}
        """Queues of projects that are not empty; the first one is served next."""
        self.filled = asyncio.Event()
        self.filled_at_s = 0.0
        """Time of the event loop at which a chunk was added to the empty queue."""
        self.sending_since_s: float | None = None
        """Time of the event loop at which the record in flight was sent; None if there is none."""

    def append(self, chunk: Chunk) -> None:
        """Add a chunk to the queue of its project."""
        if not self.queues:
            self.filled_at_s = asyncio.get_running_loop().time()
        self.queues.setdefault(chunk.project_id, deque()).append(chunk)
        self.filled.set()

    def remove(self, chunk: Chunk) -> bool:
        """Remove a chunk; return whether it was still queued."""
        queue = self.queues.get(chunk.project_id, ())
        if chunk not in queue:
            return False
        self.queues[chunk.project_id].remove(chunk)
        if not self.queues[chunk.project_id]:
            del self.queues[chunk.project_id]
        return True

    def take(self, target_bytes: int) -> list[Chunk]:
        """Remove and return chunks for a record of about ``target_bytes``, at least one."""
        taken: list[Chunk] = []
        size = 0
        while self.queues:
            project_id, queue = next(iter(self.queues.items()))
            size += queue[0].size
            if taken and size > target_bytes:
                return taken
            taken.append(queue.popleft())
            del self.queues[project_id]
            if queue:
                self.queues[project_id] = queue
        self.filled.clear()
        return taken
