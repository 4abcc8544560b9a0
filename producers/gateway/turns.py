"""Who is served when there is more than can be: large requests take turns before a byte of them is read, and finish once begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from producers import metrics
from producers.errors import OverloadedError
from producers.gateway.auth import Principal
from producers.settings import GatewaySettings

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """Bounds how many large requests are at work, how many wait, and how many large bodies are decoded at once."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._at_work = asyncio.Semaphore(settings.large_bodies_max)
        self._decoding = asyncio.Lock()
        self._of_project: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting = 0

    @asynccontextmanager
    async def turn(
        self, principal: Principal, headers: Mapping[bytes, bytes]
    ) -> AsyncIterator[None]:
        """Hold a place for one request until it is answered; small ones need none.

        Nor do those with only a public key: what everybody may know must not be enough to occupy all places with bodies that never end.

        Raises:
            OverloadedError: too many wait already, or the turn did not come within ``turn_timeout_s``.
        """
        if principal.scope != "project" or not self._is_large(headers):
            yield
            return
        project_id = principal.project_id
        of_project = self._of_project.get(project_id)
        if of_project is None:
            places = self._settings.large_bodies_of_project_max
            of_project = self._of_project[project_id] = asyncio.Semaphore(places)
        async with AsyncExitStack() as places_held:
            await self._take_places(of_project, places_held)
            yield

    async def run(
        self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The function's result. For a body of more than ``inline_max_bytes`` it runs beside the event loop, and one at a time."""
        if size <= self._settings.inline_max_bytes:
            return function(*args, **kwargs)
        async with self._decoding:
            return await asyncio.to_thread(function, *args, **kwargs)

    async def _take_places(self, of_project: asyncio.Semaphore, held: AsyncExitStack) -> None:
        must_wait = of_project.locked() or self._at_work.locked()
        if must_wait and self._waiting >= self._settings.large_bodies_waiting_max:
            _refuse("large_bodies_waiting_max")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.turn_timeout_s):
                await held.enter_async_context(of_project)
                await held.enter_async_context(self._at_work)
        except TimeoutError:
            _refuse("turn_timeout_s")
        finally:
            self._waiting -= 1

    def _is_large(self, headers: Mapping[bytes, bytes]) -> bool:
        declared = headers.get(b"content-length", b"")
        return not declared.isdigit() or int(declared[:20]) > self._settings.large_body_bytes


def _refuse(limit: str) -> NoReturn:
    metrics.LIMIT_REACHED.labels(limit=limit).inc()
    raise OverloadedError(limit)
