"""Limit concurrent large bodies and decoding threads, shared fairly between projects."""

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
    """Limit how many large requests are served at once, how many wait, and how many are decoded."""

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
        """Hold a slot for a large request until its response; yield None if it needs none.

        Small requests need no slot. Requests with only a public key need none either: the key is
        not secret, and others could occupy all slots with endless bodies.

        Raises:
            OverloadedError: too many requests are waiting, or no slot became free within
                ``turn_timeout_s``.
        """
        if not principal.has_secret or not self._is_large(headers):
            yield None
            return
        async with self._body_quota.slot(principal.project_id) as slot:
            yield slot

    async def run(self, project_id: str, size: int, function: Callable[[int | None], T]) -> T:
        """Call ``function``, which decodes a body of ``size`` bytes, and return its result.

        A body of up to ``inline_max_bytes`` is decoded on the event loop. The argument of
        ``function`` is then ``inline_values_max``, and it raises ``DecodeInThreadError`` for a body
        with more values. Such bodies and larger ones are decoded in a thread, with None as
        argument. Each project uses one thread at a time, so that threads are left for others.
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
                # A thread cannot be interrupted, so the semaphore is held until it ends.
                with contextlib.suppress(Exception):
                    await running
                raise

    def close(self) -> None:
        """Stop the threads, and cancel work that has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_large(self, headers: Mapping[bytes, bytes]) -> bool:
        declared = headers.get(b"content-length", b"")
        return not declared.isdigit() or int(declared[:20]) > self._settings.large_body_bytes
