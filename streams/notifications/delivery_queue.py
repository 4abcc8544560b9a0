"""Which deliveries are due, and how many attempts may run: few at one webhook, so that a dead receiver delays nobody else."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator


class DeliveryQueue:
    """Ids of deliveries by the time of their next attempt. Each is in it once."""

    def __init__(self, *, per_endpoint_max: int, running_max: int) -> None:
        self._per_endpoint_max = per_endpoint_max
        self._running_max = running_max
        self._waiting: list[tuple[int, str, str]] = []
        self._due: dict[str, deque[str]] = {}
        self._members: set[str] = set()
        self._running: Counter[str] = Counter()
        self.running = 0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._members

    def put(self, delivery_id: str, webhook_id: str, at_us: int) -> None:
        """Attempt a delivery at ``at_us``; one that is in the queue already stays as it is."""
        if delivery_id not in self._members:
            self._members.add(delivery_id)
            heapq.heappush(self._waiting, (at_us, delivery_id, webhook_id))

    def start(self, now_us: int) -> Iterator[tuple[str, str]]:
        """``(delivery, webhook)`` of the attempts to begin now, webhooks taking turns; ``done`` ends each."""
        while self._waiting and self._waiting[0][0] <= now_us:
            _, delivery_id, webhook_id = heapq.heappop(self._waiting)
            self._due.setdefault(webhook_id, deque()).append(delivery_id)
        while self.running < self._running_max:
            ready = [w for w in self._due if self._running[w] < self._per_endpoint_max]
            if not ready:
                return
            for webhook_id in ready[: self._running_max - self.running]:
                delivery_id = self._due[webhook_id].popleft()
                if not self._due[webhook_id]:
                    del self._due[webhook_id]
                self._running[webhook_id] += 1
                self.running += 1
                yield delivery_id, webhook_id

    def done(self, delivery_id: str, webhook_id: str) -> None:
        """An attempt is over; the delivery may be put again."""
        self._members.discard(delivery_id)
        self.running -= 1
        self._running[webhook_id] -= 1
        if not self._running[webhook_id]:
            del self._running[webhook_id]

    def next_us(self) -> int | None:
        """When the next delivery that is not due yet becomes due."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def crowded(self) -> bool:
        """Whether due deliveries wait for others to end."""
        return bool(self._due)

    @property
    def holds_back(self) -> bool:
        """Whether some of them wait for others at their own webhook."""
        return any(self._running[webhook] >= self._per_endpoint_max for webhook in self._due)
