"""Detect stalled stages and a blocked event loop, from a thread that does not use that loop.

A stage is stalled if it has input, waits for no dependency, and its position has not changed for
``stalled_after_s``. The event loop is stalled if it has not run for that time. After a suspension
of this process (SIGSTOP, a sleeping laptop), these times start at zero again.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from deploy.metrics import LOOP_BLOCKED, STALLED
from producers.progress import PartitionProgress

CHECK_INTERVAL_S: Final = 1.0
SUSPENDED_AFTER_S: Final = 5.0
"""Time between two checks above which the process is considered to have been suspended."""
HEARTBEAT_INTERVAL_S: Final = 0.5

log = structlog.get_logger(__name__)


class LoopHeartbeat:
    """Records when the event loop last ran, and writes the traceback of a blocked loop to stderr.

    The traceback is written by a thread that does not need the interpreter's lock, so this works
    even if the loop is blocked in C code.
    """

    def __init__(self, blocked_after_s: float) -> None:
        self._blocked_after_s = blocked_after_s
        self.at_s = time.monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record heartbeats while the block runs."""
        task = asyncio.create_task(self._heartbeat(), name="loop heartbeat")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            faulthandler.cancel_dump_traceback_later()

    async def _heartbeat(self) -> None:
        output = sys.__stderr__
        while True:
            self.at_s = time.monotonic()
            if output is not None:
                faulthandler.dump_traceback_later(self._blocked_after_s, file=output)
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)


class StallDetector:
    """Detects stalls on each ``check``, to be called every second; ``stalls`` describes them."""

    def __init__(
        self,
        work: Callable[[], Iterable[PartitionProgress]],
        heartbeat: LoopHeartbeat,
        *,
        stalled_after_s: float,
        blocked_after_s: float,
    ) -> None:
        self._work = work
        self._heartbeat = heartbeat
        self._stalled_after_s = stalled_after_s
        self._blocked_after_s = blocked_after_s
        self._since: dict[tuple[str, str, int], tuple[tuple[int, int], float]] = {}
        self._checked_at_s: float | None = None
        self._resumed_at_s = float("-inf")
        self._is_blocked = False
        self.stalls: list[str] = []

    def check(self, now_s: float) -> None:
        """Compare the current positions with the earlier ones."""
        if self._checked_at_s is not None and now_s - self._checked_at_s > SUSPENDED_AFTER_S:
            log.warning("was_not_running", seconds=round(now_s - self._checked_at_s, 1))
            self._since.clear()
            self._resumed_at_s = now_s
        self._checked_at_s = now_s
        try:
            work = list(self._work())
        except RuntimeError:  # the event loop's thread changed the partitions meanwhile
            return
        blocked_s = now_s - max(self._heartbeat.at_s, self._resumed_at_s)
        self._report_blocked(blocked_s, work)
        if blocked_s > self._stalled_after_s:
            self.stalls = [_blocked(blocked_s, work)]
        elif blocked_s <= self._blocked_after_s:
            self.stalls = self._stalled_stages(work, now_s)
        STALLED.set(len(self.stalls))

    def _stalled_stages(self, work: list[PartitionProgress], now_s: float) -> list[str]:
        since: dict[tuple[str, str, int], tuple[tuple[int, int], float]] = {}
        found = []
        for each in work:
            key = (each.stage, each.topic, each.partition)
            position = (each.next_offset, each.steps)
            before, at_s = self._since.get(key, (position, now_s))
            if position != before or not each.has_input or each.waits_for:
                at_s = now_s
            since[key] = (position, at_s)
            if now_s - at_s > self._stalled_after_s:
                found.append(
                    f"{each.stage}: {each.place} has made no progress for {now_s - at_s:.0f} s"
                    f" at offset {each.next_offset}"
                )
        self._since = since
        return found

    def _report_blocked(self, blocked_s: float, work: list[PartitionProgress]) -> None:
        is_blocked = blocked_s > self._blocked_after_s
        if is_blocked and not self._is_blocked:
            LOOP_BLOCKED.inc()
            log.warning("event_loop_blocked", seconds=round(blocked_s), at=_unfinished(work))
        self._is_blocked = is_blocked


def _blocked(blocked_s: float, work: list[PartitionProgress]) -> str:
    places = _unfinished(work)
    at = f" while it worked on {places}" if places else ""
    return f"the event loop has been blocked for {blocked_s:.0f} s{at}"


def _unfinished(work: list[PartitionProgress]) -> str:
    return ", ".join(
        f"offset {each.next_offset} of {each.place}" for each in work if each.has_input
    )
