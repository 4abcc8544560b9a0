"""Admits expensive requests: places for large bodies, threads for decoding, shared fairly."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final, NoReturn, TypeVar
from weakref import WeakValueDictionary

from producers import metrics
from producers.errors import MoreWorkError, OverloadedError
from producers.gateway.auth import Principal
from producers.gateway.fair_work import FairWork
from producers.settings import GatewaySettings

T = TypeVar("T")

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


class Turns:
    """Bounds how many large requests are at work, how many wait, and how many large bodies are decoded at once."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._at_work = asyncio.Semaphore(settings.large_bodies_max)
        self._of_project: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._places: set[Place] = set()
        self._waiting = 0
        self._fair = FairWork()
        self._threads = ThreadPoolExecutor(settings.decoding_threads_max, "decoding")
        self._free_threads = asyncio.Semaphore(settings.decoding_threads_max)
        self._decoding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(
        self, principal: Principal, headers: Mapping[bytes, bytes]
    ) -> AsyncIterator[Place | None]:
        """Hold a place for one request until it is answered; small ones need none.

        Nor do those with only a public key: what everybody may know must not be enough to occupy all places with bodies that never end.

        Raises:
            OverloadedError: too many wait already, or the turn did not come within ``turn_timeout_s``.
        """
        if principal.scope != "project" or not self._is_large(headers):
            yield None
            return
        project_id = principal.project_id
        of_project = self._of_project.get(project_id)
        if of_project is None:
            places = self._settings.large_bodies_of_project_max
            of_project = self._of_project[project_id] = asyncio.Semaphore(places)
        await self._take_place(project_id, of_project)
        place = Place(project_id, asyncio.get_running_loop().time())
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            self._at_work.release()
            of_project.release()

    async def run(self, project_id: str, size: int, function: Callable[[int | None], T]) -> T:
        """Call ``function``, which decodes a body of ``size`` bytes, and return its result.

        Up to ``inline_max_bytes`` it runs at once with ``inline_values_max`` as argument, and
        raises ``MoreWorkError`` if the body has more values. Then, and for larger bodies, it runs
        in a thread with None; there the bodies of one project run one at a time, so that they delay
        no others.
        """
        if size <= self._settings.inline_max_bytes:
            await self._fair.begin(project_id)
            started_s = perf_counter()
            try:
                return function(self._settings.inline_values_max)
            except MoreWorkError:
                metrics.LIMIT_REACHED.labels(limit="inline_values_max").inc()
            finally:
                self._fair.spent(project_id, perf_counter() - started_s)
        return await self.in_thread(project_id, partial(function, None))

    async def in_thread(self, project_id: str, function: Callable[[], T]) -> T:
        """Call ``function`` in a thread and return its result."""
        decoding = self._decoding.get(project_id)
        if decoding is None:
            decoding = self._decoding[project_id] = asyncio.Lock()
        async with decoding, self._free_threads:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, function)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # A thread cannot be interrupted: the place is held until it ends.
                with contextlib.suppress(Exception):
                    await running
                raise

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _take_place(self, project_id: str, of_project: asyncio.Semaphore) -> None:
        must_wait = of_project.locked() or self._at_work.locked()
        if must_wait and self._waiting >= self._settings.large_bodies_waiting_max:
            _refuse("large_bodies_waiting_max")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.turn_timeout_s):
                await of_project.acquire()
                try:
                    await self._take_any(project_id)
                except BaseException:
                    of_project.release()
                    raise
        except TimeoutError:
            _refuse("turn_timeout_s")
        finally:
            self._waiting -= 1

    async def _take_any(self, project_id: str) -> None:
        """Take a place; if none becomes free soon, take one whose body arrives slowly."""
        while True:
            try:
                await asyncio.wait_for(self._at_work.acquire(), PATIENCE_S)
            except TimeoutError:
                self._give_away_slow(project_id)
            else:
                return

    def _give_away_slow(self, project_id: str) -> None:
        """Interrupt the slowest body that is below the lowest rate.

        If ``project_id`` has no place, a body of a project with several places also qualifies.
        """
        now_s = asyncio.get_running_loop().time()
        held = Counter(place.project_id for place in self._places)
        slowest: Place | None = None
        for place in self._places:
            if place.reading is None or place.given_away or now_s - place.since_s < GRACE_S:
                continue
            too_slow = place.rate(now_s) < self._settings.body_rate_min_bytes_per_s
            unfair = not held[project_id] and held[place.project_id] > 1
            if (too_slow or unfair) and (
                slowest is None or place.rate(now_s) < slowest.rate(now_s)
            ):
                slowest = place
        if slowest is not None and slowest.reading is not None:
            metrics.LIMIT_REACHED.labels(limit="body_rate_min_bytes_per_s").inc()
            slowest.given_away = True
            slowest.reading.reschedule(now_s)

    def _is_large(self, headers: Mapping[bytes, bytes]) -> bool:
        declared = headers.get(b"content-length", b"")
        return not declared.isdigit() or int(declared[:20]) > self._settings.large_body_bytes


def _refuse(limit: str) -> NoReturn:
    metrics.LIMIT_REACHED.labels(limit=limit).inc()
    raise OverloadedError(limit)
