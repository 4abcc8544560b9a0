"""Limit how many large bodies are in memory at once, shared fairly between projects."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn
from weakref import WeakValueDictionary

from producers import metrics
from producers.errors import OverloadedError

REVOKE_INTERVAL_S: Final = 0.25
"""Interval at which a waiting request revokes the slot of a slow body."""
SLOW_AFTER_S: Final = 1.0
"""Minimum age of a slot that can be revoked."""


@dataclass(eq=False)
class BodySlot:
    """The permission to keep one large body in memory."""

    project_id: str
    since_s: float
    received_bytes: int = 0
    deadline: asyncio.Timeout | None = field(default=None, repr=False)
    """Deadline of the body, while it is being read."""
    is_revoked: bool = False

    @contextmanager
    def reading_body(self, deadline: asyncio.Timeout) -> Iterator[None]:
        """Let other requests revoke the slot during the block, by expiring ``deadline``."""
        self.deadline = deadline
        try:
            yield
        finally:
            self.deadline = None

    def count(self, size: int) -> None:
        """Count ``size`` bytes as received."""
        self.received_bytes += size

    def rate(self, now_s: float) -> float:
        """Return the average rate so far, in bytes per second."""
        return self.received_bytes / max(now_s - self.since_s, 0.001)

    def slowness(self, now_s: float) -> tuple[float, float]:
        """Return a sort key: slower bodies come first, and older ones among equally slow ones."""
        return self.rate(now_s), self.since_s


@dataclass(frozen=True, slots=True)
class NamedLimit:
    """A limit and the name of its setting."""

    setting: str
    value: float


@dataclass(frozen=True, slots=True)
class BodyQuotaLimits:
    """Limits of slots and of requests that wait for them."""

    slots: int
    slots_of_project: int
    waiting: NamedLimit
    """Maximum number of requests that wait for a slot."""
    timeout_s: NamedLimit
    """Maximum time that a request waits for a slot."""
    rate_bytes_per_s: NamedLimit
    """Minimum rate of a body while another request waits for a slot."""


class BodyQuota:
    """Limit the number of requests that hold a slot, and of those that wait for one."""

    def __init__(self, limits: BodyQuotaLimits) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.slots)
        self._free_of_project: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._held: set[BodySlot] = set()
        self._waiting = 0

    @asynccontextmanager
    async def slot(self, project_id: str) -> AsyncIterator[BodySlot]:
        """Hold a slot during the block.

        Raises:
            OverloadedError: too many requests are waiting, or no slot became free in time.
        """
        of_project = self._free_of_project.get(project_id)
        if of_project is None:
            of_project = asyncio.Semaphore(self._limits.slots_of_project)
            self._free_of_project[project_id] = of_project
        await self._acquire_both(project_id, of_project)
        slot = BodySlot(project_id, asyncio.get_running_loop().time())
        self._held.add(slot)
        try:
            yield slot
        finally:
            self._held.discard(slot)
            self._free.release()
            of_project.release()

    async def _acquire_both(self, project_id: str, of_project: asyncio.Semaphore) -> None:
        must_wait = of_project.locked() or self._free.locked()
        if must_wait and self._waiting >= self._limits.waiting.value:
            _refuse(self._limits.waiting.setting)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.timeout_s.value):
                await self._acquire(of_project, project_id, of_project_only=True)
                try:
                    await self._acquire(self._free, project_id, of_project_only=False)
                except BaseException:
                    of_project.release()
                    raise
        except TimeoutError:
            _refuse(self._limits.timeout_s.setting)
        finally:
            self._waiting -= 1

    async def _acquire(
        self, free: asyncio.Semaphore, project_id: str, *, of_project_only: bool
    ) -> None:
        """Acquire a semaphore; revoke the slots of slow bodies while none is free."""
        if not free.locked():
            await free.acquire()
            return
        while True:
            try:
                await asyncio.wait_for(free.acquire(), REVOKE_INTERVAL_S)
            except TimeoutError:
                self._revoke_slow(project_id, of_project_only=of_project_only)
            else:
                return

    def _revoke_slow(self, project_id: str, *, of_project_only: bool) -> None:
        """Revoke the slot of the slowest body whose rate is below the limit.

        If ``project_id`` has no slot, this can also be a faster body of a project with several
        slots.
        """
        now_s = asyncio.get_running_loop().time()
        held = Counter(slot.project_id for slot in self._held)
        slowest: BodySlot | None = None
        for slot in self._held:
            if slot.deadline is None or slot.is_revoked or now_s - slot.since_s < SLOW_AFTER_S:
                continue
            if of_project_only and slot.project_id != project_id:
                continue
            too_slow = slot.rate(now_s) < self._limits.rate_bytes_per_s.value
            unfair = not held[project_id] and held[slot.project_id] > 1
            if (too_slow or unfair) and (
                slowest is None or slot.slowness(now_s) < slowest.slowness(now_s)
            ):
                slowest = slot
        if slowest is not None and slowest.deadline is not None:
            metrics.LIMIT_REACHED.labels(limit=self._limits.rate_bytes_per_s.setting).inc()
            slowest.is_revoked = True
            slowest.deadline.reschedule(now_s)


def _refuse(limit: str) -> NoReturn:
    metrics.LIMIT_REACHED.labels(limit=limit).inc()
    raise OverloadedError(limit)
