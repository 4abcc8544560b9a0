"""Detects stalled stages and a blocked event loop, from a thread beside that loop.

A stage is stalled when it has had input, waits for no dependency, and its position has not changed
for ``stalled_after_s``. The event loop is stalled when it has not run for as long. Time counts only
while this process runs: it restarts after the process was suspended (SIGSTOP, a sleeping laptop).
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
from producers.work import Work

LOOK_EVERY_S: Final = 1.0
NOT_RUNNING_AFTER_S: Final = 5.0
"""Time between two checks above which the process was suspended in between."""
BEAT_EVERY_S: Final = 0.5

log = structlog.get_logger(__name__)


class LoopBeat:
    """Records when the event loop last ran, and logs the traceback of a blocked loop.

    The traceback is written by a thread of the interpreter that needs no lock, so it works even
    when the loop hangs in C code.
    """

    def __init__(self, blocked_after_s: float) -> None:
        self._blocked_after_s = blocked_after_s
        self.at_s = time.monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Beat while the block runs."""
        task = asyncio.create_task(self._beat(), name="loop beat")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            faulthandler.cancel_dump_traceback_later()

    async def _beat(self) -> None:
        output = sys.__stderr__
        while True:
            self.at_s = time.monotonic()
            if output is not None:
                faulthandler.dump_traceback_later(self._blocked_after_s, file=output)
            await asyncio.sleep(BEAT_EVERY_S)


class StallWatch:
    """Keeps in ``stalls`` a line for each stall; ``look`` has to be called once a second."""

    def __init__(
        self,
        work: Callable[[], Iterable[Work]],
        beat: LoopBeat,
        *,
        stalled_after_s: float,
        blocked_after_s: float,
    ) -> None:
        self._work = work
        self._beat = beat
        self._stalled_after_s = stalled_after_s
        self._blocked_after_s = blocked_after_s
        self._since: dict[tuple[str, str, int], tuple[tuple[int, int], float]] = {}
        self._looked_at_s: float | None = None
        self._resumed_at_s = float("-inf")
        self._is_blocked = False
        self.stalls: list[str] = []

    def look(self, now_s: float) -> None:
        """Compare the current positions with the earlier ones."""
        if self._looked_at_s is not None and now_s - self._looked_at_s > NOT_RUNNING_AFTER_S:
            log.warning("was_not_running", seconds=round(now_s - self._looked_at_s, 1))
            self._since.clear()
            self._resumed_at_s = now_s
        self._looked_at_s = now_s
        try:
            work = list(self._work())
        except RuntimeError:  # partitions came or went while they were listed, in the other thread
            return
        blocked_s = now_s - max(self._beat.at_s, self._resumed_at_s)
        self._tell_blocked(blocked_s, work)
        if blocked_s > self._stalled_after_s:
            self.stalls = [_blocked(blocked_s, work)]
        elif blocked_s <= self._blocked_after_s:
            self.stalls = self._not_moving(work, now_s)
        STALLED.set(len(self.stalls))

    def _not_moving(self, work: list[Work], now_s: float) -> list[str]:
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

    def _tell_blocked(self, blocked_s: float, work: list[Work]) -> None:
        is_blocked = blocked_s > self._blocked_after_s
        if is_blocked and not self._is_blocked:
            LOOP_BLOCKED.inc()
            log.warning("event_loop_blocked", seconds=round(blocked_s), at=_unfinished(work))
        self._is_blocked = is_blocked


def _blocked(blocked_s: float, work: list[Work]) -> str:
    places = _unfinished(work)
    at = f" while it worked on {places}" if places else ""
    return f"the event loop has been blocked for {blocked_s:.0f} s{at}"


def _unfinished(work: list[Work]) -> str:
    return ", ".join(
        f"offset {each.next_offset} of {each.place}" for each in work if each.has_input
    )
