"""Decide when a running process is hung and should be killed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

PROBE_INTERVAL_S: Final = 2.0
PROBE_TIMEOUT_S: Final = 5.0
STALLED: Final = "stalled"
"""Status in the response of ``/healthz`` of a process with stalls."""
SERVICE_UNAVAILABLE: Final = 503
MISSED_PROBES_MIN: Final = 4
"""Minimum number of consecutive probes without a response before a process counts as hung."""


@dataclass(frozen=True, slots=True)
class Health:
    """The result of a probe: no response, or the stalls that the process reports."""

    responds: bool
    stalls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Liveness:
    """A probe of a process, and the time without a response after which it counts as hung."""

    probe: Callable[[], Awaitable[Health]]
    timeout_s: float


class ResponseMonitor:
    """The time for which a process has not responded, without suspensions of this process."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._missing_since_s: float | None = None
        self._missed_probes = 0
        self._probed_at_s: float | None = None

    def failure(self, health: Health, now_s: float) -> str | None:
        """Add the result of a probe that ended now; return the reason if the process is hung."""
        was_suspended = (
            self._probed_at_s is not None
            and now_s - self._probed_at_s > PROBE_INTERVAL_S + 2 * PROBE_TIMEOUT_S
        )
        before_s, self._probed_at_s = self._probed_at_s, now_s
        if health.responds:
            self._missing_since_s, self._missed_probes = None, 0
            # If this process was suspended, the other one was, too, and its stalls do not count.
            return "; ".join(health.stalls) or None if not was_suspended else None
        if was_suspended or self._missing_since_s is None or before_s is None:
            self._missing_since_s, self._missed_probes = now_s, 0
        self._missed_probes += 1
        waited_s = now_s - self._missing_since_s
        if waited_s < self._timeout_s or self._missed_probes < MISSED_PROBES_MIN:
            return None
        return f"has not responded for {waited_s:.0f} s"


async def until_hung(liveness: Liveness) -> str:
    """Probe until the process is hung; return the reason.

    Probes count only after the first response, because a start has its own deadline.
    """
    while not (await liveness.probe()).responds:  # noqa: ASYNC110  (of another process)
        await asyncio.sleep(PROBE_INTERVAL_S)
    monitor = ResponseMonitor(liveness.timeout_s)
    while True:
        await asyncio.sleep(PROBE_INTERVAL_S)
        found = monitor.failure(await liveness.probe(), time.monotonic())
        if found is not None:
            return found


def stalls_in(status: int, body: bytes) -> tuple[str, ...]:
    """Return the stalls in a response of ``/healthz``; empty if there are none.

    A status 503 alone is no stall: a server whose connections are all in use responds with it, too.
    """
    if status != SERVICE_UNAVAILABLE:
        return ()
    try:
        response = json.loads(body)
    except ValueError:
        return ()
    if not isinstance(response, dict) or response.get("status") != STALLED:
        return ()
    stalls = response.get("stalls")
    return tuple(map(str, stalls)) if isinstance(stalls, list) else ()
