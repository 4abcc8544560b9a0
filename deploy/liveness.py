"""When a process that runs should be killed because it does nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

PROBE_EVERY_S: Final = 2.0
PROBE_ENDS_WITHIN_S: Final = 5.0
SILENT_PROBES_MIN: Final = 4
"""Probes without an answer before silence counts, however long one took."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe found: no answer at all, or what the process says about itself."""

    answers: bool
    stalls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Liveness:
    """How to ask a process, and for how long it may give no answer."""

    ask: Callable[[], Awaitable[Health]]
    silent_after_s: float


class Silence:
    """For how long a process has not answered, as long as whoever asks was running itself."""

    def __init__(self, silent_after_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._since_s: float | None = None
        self._probes = 0
        self._asked_at_s: float | None = None

    def verdict(self, health: Health, now_s: float) -> str | None:
        """Take the answer of a probe that ended now; what is wrong, or None."""
        was_away = (
            self._asked_at_s is not None
            and now_s - self._asked_at_s > PROBE_EVERY_S + 2 * PROBE_ENDS_WITHIN_S
        )
        before_s, self._asked_at_s = self._asked_at_s, now_s
        if health.answers:
            self._since_s, self._probes = None, 0
            # What a process says that has just been stopped together with us is not its fault.
            return "; ".join(health.stalls) or None if not was_away else None
        if was_away or self._since_s is None or before_s is None:
            self._since_s, self._probes = now_s, 0
        self._probes += 1
        silent_s = now_s - self._since_s
        if silent_s < self._silent_after_s or self._probes < SILENT_PROBES_MIN:
            return None
        return f"has not answered for {silent_s:.0f} s"


async def until_hung(liveness: Liveness) -> str:
    """Ask again and again; return what is wrong once the process should be killed.

    Silence counts from the first answer on: a process that starts has its own deadline.
    """
    while not (await liveness.ask()).answers:  # noqa: ASYNC110  (of another process)
        await asyncio.sleep(PROBE_EVERY_S)
    silence = Silence(liveness.silent_after_s)
    while True:
        await asyncio.sleep(PROBE_EVERY_S)
        found = silence.verdict(await liveness.ask(), time.monotonic())
        if found is not None:
            return found
