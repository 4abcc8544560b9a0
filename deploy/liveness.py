"""Decides when a running process is hung and should be killed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

PROBE_EVERY_S: Final = 2.0
PROBE_ENDS_WITHIN_S: Final = 5.0
STALLED: Final = "stalled"
"""What ``/healthz`` of a process with stalls calls its status."""
SERVICE_UNAVAILABLE: Final = 503
SILENT_PROBES_MIN: Final = 4
"""Consecutive probes without an answer before a process counts as hung, however long they took."""


@dataclass(frozen=True, slots=True)
class Health:
    """Result of a probe: no answer, or the stalls that the process reports."""

    answers: bool
    stalls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Liveness:
    """How to probe a process, and how long it may go without an answer."""

    ask: Callable[[], Awaitable[Health]]
    silent_after_s: float


class Silence:
    """Measure how long a process has not answered, counting only time in which the prober ran."""

    def __init__(self, silent_after_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._since_s: float | None = None
        self._probes = 0
        self._asked_at_s: float | None = None

    def verdict(self, health: Health, now_s: float) -> str | None:
        """Take the result of a probe that ended now; return what is wrong, or None."""
        was_away = (
            self._asked_at_s is not None
            and now_s - self._asked_at_s > PROBE_EVERY_S + 2 * PROBE_ENDS_WITHIN_S
        )
        before_s, self._asked_at_s = self._asked_at_s, now_s
        if health.answers:
            self._since_s, self._probes = None, 0
            # A process that was suspended together with this one is not to blame for its stalls.
            return "; ".join(health.stalls) or None if not was_away else None
        if was_away or self._since_s is None or before_s is None:
            self._since_s, self._probes = now_s, 0
        self._probes += 1
        silent_s = now_s - self._since_s
        if silent_s < self._silent_after_s or self._probes < SILENT_PROBES_MIN:
            return None
        return f"has not answered for {silent_s:.0f} s"


async def until_hung(liveness: Liveness) -> str:
    """Probe until the process should be killed; return what is wrong.

    Missing answers count after the first answer only: starting has its own deadline.
    """
    while not (await liveness.ask()).answers:  # noqa: ASYNC110  (of another process)
        await asyncio.sleep(PROBE_EVERY_S)
    silence = Silence(liveness.silent_after_s)
    while True:
        await asyncio.sleep(PROBE_EVERY_S)
        found = silence.verdict(await liveness.ask(), time.monotonic())
        if found is not None:
            return found


def stalls_in(status: int, body: bytes) -> tuple[str, ...]:
    """Return the stalls in an answer of ``/healthz``; empty for any other answer.

    A 503 may also come from a full server that has no connection to spare.
    """
    if status != SERVICE_UNAVAILABLE:
        return ()
    try:
        said = json.loads(body)
    except ValueError:
        return ()
    if not isinstance(said, dict) or said.get("status") != STALLED:
        return ()
    stalls = said.get("stalls")
    return tuple(map(str, stalls)) if isinstance(stalls, list) else ()
