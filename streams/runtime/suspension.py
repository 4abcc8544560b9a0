"""Keeps a worker that was stopped for longer than its session from writing on.

A stopped process (SIGSTOP, a frozen container, a starved machine) sends no heartbeats: its
partitions go to another worker. When it goes on it does not know that yet, and what it holds is
old. A thread notices that it did not run, and nothing is sent from then on, nor what its producers
hold (``producers.kafka.checked_producer``): the worker ends, and a restart continues from what was
written.

Bytes that were in a socket before the stop may still arrive between the records of the successor.
Rows carry the version of the records that they contain (``streams.core.observations.versions``,
``streams.core.rollups.checkpoint_choice``), so that such a record changes nothing; the simulations
of all stages let records arrive late. One case is known that they do not cover: of about 14,000
simulated installations with late records, one kept a trace that had moved to another day under both
days (``TRACEMILL_SIMULATION_SEEDS=41917:41918``).

A blocked event loop is another matter: heartbeats come from a thread of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event, Thread
from typing import Final

import structlog

from streams.errors import SuspendedError

TICK_S: Final = 0.5

log = structlog.get_logger(__name__)


class SuspensionGuard:
    """Refuses writes once this process did not run for too long; ``suspended`` fails then."""

    def __init__(self, limit_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._now_s = now_s
        self._seen_s = now_s()
        self._away_s = 0.0
        self._ended = Event()
        self.suspended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        loop = asyncio.get_running_loop()
        self._seen_s = self._now_s()
        Thread(target=self._watch, args=(loop,), name="suspension guard", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()
            if self.suspended.done():
                self.suspended.exception()  # seen
            else:
                self.suspended.cancel()

    def check(self) -> None:
        """Let a write pass.

        Raises:
            SuspendedError: this process did not run for longer than its session.
        """
        # Whichever runs first after the stop notices: this call or the thread.
        away_s = self._away_s or self._now_s() - self._seen_s
        if away_s > self._limit_s:
            self._away_s = away_s
            raise SuspendedError(self._message())

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended.wait(TICK_S):
            now_s = self._now_s()
            if now_s - self._seen_s > self._limit_s:
                self._away_s = now_s - self._seen_s
            self._seen_s = now_s
            if self._away_s:
                loop.call_soon_threadsafe(self._fail)
                return

    def _fail(self) -> None:
        if not self.suspended.done():
            log.warning("was_suspended", seconds=round(self._away_s, 1))
            self.suspended.set_exception(SuspendedError(self._message()))

    def _message(self) -> str:
        return (
            f"this process did not run for {self._away_s:.0f} s, longer than its session of"
            f" {self._limit_s:g} s: its partitions may be another worker's; starting again"
        )
