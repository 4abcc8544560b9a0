"""Deliver events through a bounded queue that one background thread drains.

The application's threads only append to the queue. The background thread starts with the first
event, runs an event loop with the Kafka client, and ends with ``close``. Queued events and events
in flight are limited in bytes; an event that does not fit is dropped and counted.
"""

from __future__ import annotations

import asyncio

# Event loops resolve names in threads; at the interpreter's exit this can no longer be imported.
import concurrent.futures.thread  # noqa: F401
import contextlib
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import NamedTuple

from tracemill.contract import Event
from tracemill.options import Options
from tracemill.problem_log import ProblemLog, logger
from tracemill.shipping import THREAD_NAME, Shipper

_STOP_MIN_S = 1.0
"""Minimum time that the Kafka client has to stop, even after the deadline of ``close``."""


class Stats(NamedTuple):
    """Numbers of events by outcome, since the tracer was created."""

    sent: int
    """Acknowledged by Kafka."""
    dropped: int
    """Not queued, because the buffer was full or the tracer was closed."""
    failed: int
    """Not encodable, rejected by Kafka, or not delivered within the timeout of ``close``."""
    buffered: int
    """Queued or in flight now."""
    buffered_bytes: int
    """Estimated size of the buffered events; at most ``Options.buffer_max_bytes``."""
    mistakes: int
    """Number of invalid arguments and of defects of the tracer, not of events."""


class Delivery:
    """Queue events of any thread without blocking it, and deliver them in the background."""

    def __init__(self, options: Options, problems: ProblemLog) -> None:
        self._options = options
        self._problems = problems
        self._lock = threading.RLock()  # a finaliser may trace while its thread holds the lock
        self._queue: deque[tuple[Event, int]] = deque()
        self._buffered = self._buffered_bytes = 0
        self._sent = self._dropped = self._failed = 0
        self._closed = self._given_up = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shipper: Shipper | None = None
        self._shipper_waits = False
        self._running = threading.Event()

    def add(self, event: Event, size: int) -> None:
        """Queue an event of about ``size`` bytes; drop it if the buffer is full."""
        with self._lock:
            full = self._buffered_bytes + size > self._options.buffer_max_bytes
            if full or self._closed:
                self._dropped += 1
            else:
                self._buffered += 1
                self._buffered_bytes += size
                self._queue.append((event, size))
                if self._thread is None:
                    self._start()
                elif self._shipper_waits:
                    self._shipper_waits = False
                    self._wake()
                return
        self._problems.warn(
            "dropped",
            "tracemill: %d events dropped so far: %s",
            self._dropped,
            "the buffer is full" if full else "the tracer is closed",
        )

    def stats(self) -> Stats:
        with self._lock:
            return Stats(
                self._sent,
                self._dropped,
                self._failed,
                self._buffered,
                self._buffered_bytes,
                self._problems.mistakes,
            )

    def flush(self, timeout_s: float) -> bool:
        """Deliver all events added so far; return whether that succeeded within ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        if self._thread is None:
            return True
        if not self._thread.is_alive():
            return self.stats().buffered == 0
        if threading.current_thread() is self._thread or not self._running.wait(timeout_s):
            return False
        if self._loop is None or self._shipper is None:  # the thread ended before it could begin
            return False
        try:
            flushing = asyncio.run_coroutine_threadsafe(self._shipper.flush(), self._loop)
        except RuntimeError:  # the loop has ended meanwhile
            return self.stats().buffered == 0
        return _within(flushing, deadline)

    def close(self, timeout_s: float) -> bool:
        """Flush, then stop the thread; return whether all events were delivered.

        Events that are not delivered within ``timeout_s`` count as failed; later ones are dropped.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is None:
            return True
        flushed = self.flush(timeout_s)
        left_s = max(0.0, deadline - time.monotonic())
        with self._lock:
            if self._shipper is None:  # the thread is still starting and will end at once
                self._given_up = True
        if self._loop is not None and self._shipper is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._shipper.stop_within, max(left_s, _STOP_MIN_S))
        if threading.current_thread() is not thread:
            thread.join(left_s)
        self._give_up_rest()
        return flushed

    def settle(self, events: int, size: int, *, delivered: bool) -> None:
        """Remove events from the buffer and count them as sent or failed."""
        with self._lock:
            if self._given_up:
                return
            self._buffered -= events
            self._buffered_bytes -= size
            if delivered:
                self._sent += events
            else:
                self._failed += events

    def take(self) -> tuple[Event, int] | None:
        """Remove and return the next queued event with its size; ``None`` if the queue is empty."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def prepare_wait(self) -> bool:
        """Make the next ``add`` wake the shipper; return false if an event is already queued."""
        with self._lock:
            self._shipper_waits = not self._queue
            return self._shipper_waits

    def _give_up_rest(self) -> None:
        with self._lock:
            self._given_up = True
            lost = self._buffered
            self._queue.clear()
            self._buffered = self._buffered_bytes = 0
            self._failed += lost
        if lost:
            self._problems.warn(
                "lost", "tracemill: %d events were not delivered before the tracer closed", lost
            )

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        assert self._loop is not None
        assert self._shipper is not None
        self._loop.call_soon_threadsafe(self._shipper.wake)

    def _run(self) -> None:
        try:
            asyncio.run(self._ship())
        except Exception:  # noqa: BLE001 - a defect; later events are dropped
            logger.exception("tracemill: the background thread ended")
        finally:
            with self._lock:
                self._closed = True
            self._running.set()

    async def _ship(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._shipper = Shipper(self._options, self, self._problems)
            if self._given_up:
                self._shipper.stop_within(0)
        self._running.set()
        await self._shipper.run()


def _within(flushing: Future[bool], deadline: float) -> bool:
    try:
        return flushing.result(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, CancelledError):
        flushing.cancel()
        return False
