"""Admit expensive requests: limit large bodies and decoding, shared fairly between projects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TypeVar
from weakref import WeakValueDictionary

from producers import metrics
from producers.control.auth import Principal
from producers.errors import DecodeInThreadError
from producers.gateway.http.body_quota import BodyQuota, BodyQuotaLimits, BodySlot, NamedLimit
from producers.gateway.http.fair_scheduler import FairScheduler
from producers.settings import GatewaySettings

T = TypeVar("T")


class AdmissionGate:
    """Limit how many large requests are served and wait, and how many are decoded at once."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._body_quota = BodyQuota(
            BodyQuotaLimits(
                slots=settings.large_bodies_max,
                slots_of_project=settings.large_bodies_of_project_max,
                waiting=NamedLimit("large_bodies_waiting_max", settings.large_bodies_waiting_max),
                timeout_s=NamedLimit("turn_timeout_s", settings.turn_timeout_s),
                rate_bytes_per_s=NamedLimit(
                    "body_rate_min_bytes_per_s", settings.body_rate_min_bytes_per_s
                ),
            )
        )
        self._scheduler = FairScheduler()
        self.no_backlog = self._scheduler.no_backlog
        self._threads = ThreadPoolExecutor(settings.decoding_threads_max, "decoding")
        self._free_threads = asyncio.Semaphore(settings.decoding_threads_max)
        self._decoding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def admit(
        self, principal: Principal, headers: Mapping[bytes, bytes]
    ) -> AsyncIterator[BodySlot | None]:
        """Hold a slot for a large request until it is answered; yield None if it needs none.

        Small requests need no slot. Neither do requests with only a public key: it is not secret,
        so it must not suffice to occupy all slots with bodies that never end.

        Raises:
            OverloadedError: too many requests wait already, or no slot became free within
                ``turn_timeout_s``.
        """
        if not principal.has_secret or not self._is_large(headers):
            yield None
            return
        async with self._body_quota.slot(principal.project_id) as slot:
            yield slot

    async def run(self, project_id: str, size: int, function: Callable[[int | None], T]) -> T:
        """Call ``function``, which decodes a body of ``size`` bytes, and return its result.

        For a body of up to ``inline_max_bytes`` it runs on the event loop with
        ``inline_values_max`` as argument, and raises ``DecodeInThreadError`` if the body has more
        values. Then, and for larger bodies, it runs in a thread with None as argument. Only one
        body of a project at a time is decoded in a thread, so that others find a free thread.
        """
        if size <= self._settings.inline_max_bytes:
            await self._scheduler.begin(project_id)
            started_s = perf_counter()
            try:
                return function(self._settings.inline_values_max)
            except DecodeInThreadError:
                metrics.LIMIT_REACHED.labels(limit="inline_values_max").inc()
            finally:
                self._scheduler.spent(project_id, perf_counter() - started_s)
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
                # A thread cannot be interrupted: hold the semaphore until it ends.
                with contextlib.suppress(Exception):
                    await running
                raise

    def close(self) -> None:
        """Stop the threads; work that has not begun is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_large(self, headers: Mapping[bytes, bytes]) -> bool:
        declared = headers.get(b"content-length", b"")
        return not declared.isdigit() or int(declared[:20]) > self._settings.large_body_bytes
