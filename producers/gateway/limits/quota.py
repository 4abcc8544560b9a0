"""Limit what a project may send per day or month."""

from __future__ import annotations

from typing import NoReturn

from producers.gateway.limits.effective import EffectiveLimits
from producers.gateway.limits.refusal import refuse
from producers.usage.counts import UsageCounts


class Quota:
    """The quota of one project in the current period."""

    __slots__ = ("_bytes_max", "_counts", "_events_max", "_of_project", "_period", "_used")

    def __init__(self, project_id: str, limits: EffectiveLimits, counts: UsageCounts) -> None:
        self._period = limits.quota_period
        self._events_max = limits.quota_events
        self._bytes_max = limits.quota_bytes
        self._counts = counts
        self._of_project = counts.of(project_id)
        self._used = self._of_project.of(limits.quota_period)

    def check(self, events: int, size: int) -> None:
        """Refuse a request if its events or bytes exceed what is left.

        They may be lower bounds, as long as the body is not read or decoded.

        Raises:
            TooManyRequestsError: the request can be sent again in the next period.
        """
        counts = self._counts
        if counts.now_s() >= counts.day_ends_s:
            _ = counts.today  # begins a new day
        used_events, used_bytes = self._used
        if self._events_max and used_events + events > self._events_max:
            self._refuse("quota_events", f"{self._events_max} events")
        if self._bytes_max and used_bytes + size > self._bytes_max:
            self._refuse("quota_bytes", f"{self._bytes_max} bytes")

    def add(self, events: int, size: int) -> None:
        """Count a request; negative amounts are subtracted."""
        self._counts.add_to(self._of_project, events, size)

    def _refuse(self, limit: str, allowed: str) -> NoReturn:
        counts = self._counts
        wait_s = counts.today.end_of(self._period) - counts.now_s()
        refuse(limit, f"{allowed} per {self._period} (UTC)", wait_s)
