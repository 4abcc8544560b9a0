"""The way of events out of the host: a bounded queue, and one background thread that empties it.

Host threads only append. The thread starts with the first event, runs an event loop of its own with the Kafka client in it, and ends with ``close``.
The bound is on bytes and covers events that wait and events that are on their way; an event that does not fit is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - event loops look names up with it; at exit it is too late to import
import contextlib
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from typing import NamedTuple

from tracemill.complaints import Complaints, logger
from tracemill.contract import Event
from tracemill.options import Options
from tracemill.shipping import THREAD_NAME, Shipper

_POLITE_STOP_S = 1.0
"""What a close grants the client to say goodbye when its own deadline has passed: in the background, nobody waits."""


class Stats(NamedTuple):
    """What became of events so far. ``buffered`` are neither delivered nor given up yet."""

    sent: int
    """Acknowledged by Kafka."""
    dropped: int
    """Refused because the buffer was full, or the tracer closed."""
    failed: int
    """Given up: they could not be encoded, Kafka refused them, or the deadline of ``close`` passed."""
    buffered: int
    buffered_bytes: int
    mistakes: int
    """Arguments nobody could use, and defects of the tracer."""


class Delivery:
    """Takes events from any thread and never blocks it."""

    def __init__(self, options: Options, complaints: Complaints) -> None:
        self._options = options
        self._complaints = complaints
        self._lock = threading.RLock()  # a finaliser may trace while its thread is in here
        self._queue: deque[tuple[Event, int]] = deque()
        self._buffered = self._buffered_bytes = 0
        self._sent = self._dropped = self._failed = 0
        self._closed = self._given_up = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shipper: Shipper | None = None
        self._asleep = False
        self._running = threading.Event()

    def add(self, event: Event, size: int) -> None:
        """Queue ``event``, taken to occupy ``size`` bytes, or drop it."""
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
                elif self._asleep:
                    self._asleep = False
                    self._wake()
                return
        self._complaints.say(
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
                self._complaints.mistakes,
            )

    def flush(self, timeout_s: float) -> bool:
        """Deliver all events added so far; false when some are not delivered within ``timeout_s``."""
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
        """Flush, then stop the thread; what is not delivered within ``timeout_s`` has failed. Later events are dropped."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is None:
            return True
        flushed = self.flush(timeout_s)
        left_s = max(0.0, deadline - time.monotonic())
        with self._lock:
            if self._shipper is None:  # the thread is only starting: it ends once it sees this
                self._given_up = True
        if self._loop is not None and self._shipper is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(
                    self._shipper.stop_within, max(left_s, _POLITE_STOP_S)
                )
        if threading.current_thread() is not thread:
            thread.join(left_s)
        self._give_up_rest()
        return flushed

    def settle(self, events: int, size: int, *, delivered: bool) -> None:
        """Events have left the buffer: Kafka has them, or nobody will."""
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
        """The next waiting event; ``None`` when there is none, after which ``add`` wakes the shipper."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None

    def fall_asleep(self) -> bool:
        """Ask to be woken by the next event; false if one is waiting already."""
        with self._lock:
            self._asleep = not self._queue
            return self._asleep

    def _give_up_rest(self) -> None:
        with self._lock:
            self._given_up = True
            lost = self._buffered
            self._queue.clear()
            self._buffered = self._buffered_bytes = 0
            self._failed += lost
        if lost:
            self._complaints.say(
                "lost", "tracemill: %d events could not be delivered before the end", lost
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
        except Exception:  # noqa: BLE001 - a defect: the host goes on, events are dropped from now on
            logger.exception("tracemill: the background thread ended")
        finally:
            with self._lock:
                self._closed = True
            self._running.set()

    async def _ship(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._shipper = Shipper(self._options, self, self._complaints)
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
