"""Places for requests that hold much memory: a limited number, shared fairly between projects."""

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

PATIENCE_S: Final = 0.25
"""Time that a request waits for a place before it takes that of a slow one, and for each further."""
GRACE_S: Final = 1.0
"""Time after which a body that arrives slowly may lose its place."""


@dataclass(eq=False)
class Place:
    """One place for a large body."""

    project_id: str
    since_s: float
    received_bytes: int = 0
    reading: asyncio.Timeout | None = field(default=None, repr=False)
    """Deadline of the body while it is read."""
    given_away: bool = False

    @contextmanager
    def being_read(self, deadline: asyncio.Timeout) -> Iterator[None]:
        """Allow the place to be taken away, by ending ``deadline``, while the body is read."""
        self.reading = deadline
        try:
            yield
        finally:
            self.reading = None

    def count(self, size: int) -> None:
        self.received_bytes += size

    def rate(self, now_s: float) -> float:
        return self.received_bytes / max(now_s - self.since_s, 0.001)

    def slowness(self, now_s: float) -> tuple[float, float]:
        """Return a key by which slow bodies sort first, and the oldest of equally slow ones."""
        return self.rate(now_s), self.since_s


@dataclass(frozen=True, slots=True)
class Limit:
    """A number, and the name of the setting that it comes from."""

    setting: str
    value: float


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    places: int
    of_project: int
    """Places of one project."""
    waiting: Limit
    """Requests that wait for a place."""
    timeout_s: Limit
    """How long they wait."""
    rate_bytes_per_s: Limit
    """A body that arrives slower loses its place to a request that waits."""


class Places:
    """Bounds how many requests hold a place and how many wait for one."""

    def __init__(self, limits: PlaceLimits) -> None:
        self._limits = limits
        self._free = asyncio.Semaphore(limits.places)
        self._of_project: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._places: set[Place] = set()
        self._waiting = 0

    @asynccontextmanager
    async def place(self, project_id: str) -> AsyncIterator[Place]:
        """Hold a place during the block.

        Raises:
            OverloadedError: too many wait already, or none became free in time.
        """
        of_project = self._of_project.get(project_id)
        if of_project is None:
            of_project = self._of_project[project_id] = asyncio.Semaphore(self._limits.of_project)
        await self._take_place(project_id, of_project)
        place = Place(project_id, asyncio.get_running_loop().time())
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            self._free.release()
            of_project.release()

    async def _take_place(self, project_id: str, of_project: asyncio.Semaphore) -> None:
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
        self, places: asyncio.Semaphore, project_id: str, *, of_project_only: bool
    ) -> None:
        """Take a place; if none becomes free soon, take one whose body arrives slowly."""
        if not places.locked():
            await places.acquire()
            return
        while True:
            try:
                await asyncio.wait_for(places.acquire(), PATIENCE_S)
            except TimeoutError:
                self._give_away_slow(project_id, of_project_only=of_project_only)
            else:
                return

    def _give_away_slow(self, project_id: str, *, of_project_only: bool) -> None:
        """Interrupt the slowest body that is below the lowest rate.

        If ``project_id`` has no place, a body of a project with several places also qualifies.
        """
        now_s = asyncio.get_running_loop().time()
        held = Counter(place.project_id for place in self._places)
        slowest: Place | None = None
        for place in self._places:
            if place.reading is None or place.given_away or now_s - place.since_s < GRACE_S:
                continue
            if of_project_only and place.project_id != project_id:
                continue
            too_slow = place.rate(now_s) < self._limits.rate_bytes_per_s.value
            unfair = not held[project_id] and held[place.project_id] > 1
            if (too_slow or unfair) and (
                slowest is None or place.slowness(now_s) < slowest.slowness(now_s)
            ):
                slowest = place
        if slowest is not None and slowest.reading is not None:
            metrics.LIMIT_REACHED.labels(limit=self._limits.rate_bytes_per_s.setting).inc()
            slowest.given_away = True
            slowest.reading.reschedule(now_s)


def _refuse(limit: str) -> NoReturn:
    metrics.LIMIT_REACHED.labels(limit=limit).inc()
    raise OverloadedError(limit)
