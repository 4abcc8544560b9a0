"""Choose which due job of a target is attempted next, so that a burst of one flow delays no other.

Fair queueing by flow, as in Nagle, "On Packet Switches with Infinite Storage" (RFC 970), in two
classes: urgent jobs get most turns, but never all.
"""

from __future__ import annotations

from collections import deque
from typing import Final

URGENT_TURNS: Final = 3
"""Turns of urgent jobs after which one of the others is attempted."""


class DueJobs:
    """The due jobs of a target. Flows take turns; the jobs of a flow are in order of addition."""

    def __init__(self) -> None:
        self._urgent: dict[str, deque[str]] = {}
        self._others: dict[str, deque[str]] = {}
        self._urgent_turns = 0
        """Turns of urgent jobs since the last other one."""

    def __bool__(self) -> bool:
        return bool(self._urgent or self._others)

    def put(self, job_id: str, flow: str, *, is_urgent: bool) -> None:
        """Add a job at the end of its flow."""
        flows = self._urgent if is_urgent else self._others
        flows.setdefault(flow, deque()).append(job_id)

    def take(self) -> str:
        """Remove and return the job whose turn it is.

        Raises:
            StopIteration: there is none.
        """
        is_urgent = bool(self._urgent) and (not self._others or self._urgent_turns < URGENT_TURNS)
        self._urgent_turns = self._urgent_turns + 1 if is_urgent else 0
        flows = self._urgent if is_urgent else self._others
        flow = next(iter(flows))
        jobs = flows.pop(flow)
        job_id = jobs.popleft()
        if jobs:
            flows[flow] = jobs  # at the end
        return job_id
