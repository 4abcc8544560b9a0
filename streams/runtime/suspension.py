"""Stop the writes of a worker that was suspended for longer than its Kafka session.

A suspended process (SIGSTOP, a frozen container, a starved machine) sends no heartbeats, so its
partitions are assigned to another worker. When it resumes, its state is outdated, and it has not
been notified of the revocation. A thread detects the suspension. From then on no record is sent,
not even those buffered in producers (``producers.kafka.checked_producer``). The worker ends, and a
restart continues from the last checkpoint.

Bytes that were in a socket before the suspension may still arrive between the records of the next
worker. Rows have the version of the records that they include
(``streams.core.observations.versions``, ``streams.core.rollups.checkpoint_choice``), so such late
records change nothing; the simulations of all stages test this. One exception is known: in one of
about 14,000 simulated installations, a trace that had moved to another day remained under both
days (``TRACEMILL_SIMULATION_SEEDS=41917:41918``).

A blocked event loop does not end the session, because a separate thread sends the heartbeats.
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
    """Refuses writes after the process was suspended for more than ``limit_s``.

    The future ``suspended`` then raises ``SuspendedError``.
    """

    def __init__(self, limit_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._now_s = now_s
        self._seen_s = now_s()
        self._suspended_s = 0.0
        self._ended = Event()
        self.suspended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Detect suspensions while the block runs."""
        loop = asyncio.get_running_loop()
        self._seen_s = self._now_s()
        Thread(target=self._watch, args=(loop,), name="suspension guard", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()
            if self.suspended.done():
                self.suspended.exception()  # otherwise asyncio logs that it was never retrieved
            else:
                self.suspended.cancel()

    def check(self) -> None:
        """Check that this process was not suspended; call this before each write.

        Raises:
            SuspendedError: the process was suspended for more than ``limit_s``.
        """
        # After a suspension, this call may run before the thread.
        suspended_s = self._suspended_s or self._now_s() - self._seen_s
        if suspended_s > self._limit_s:
            self._suspended_s = suspended_s
            raise SuspendedError(self._message())

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._ended.wait(TICK_S):
            now_s = self._now_s()
            if now_s - self._seen_s > self._limit_s:
                self._suspended_s = now_s - self._seen_s
            self._seen_s = now_s
            if self._suspended_s:
                loop.call_soon_threadsafe(self._fail)
                return

    def _fail(self) -> None:
        if not self.suspended.done():
            log.warning("was_suspended", seconds=round(self._suspended_s, 1))
            self.suspended.set_exception(SuspendedError(self._message()))

    def _message(self) -> str:
        return (
            f"this process was suspended for {self._suspended_s:.1f} s, more than the allowed"
            f" {self._limit_s:g} s, so another worker may have its partitions; it restarts"
        )
