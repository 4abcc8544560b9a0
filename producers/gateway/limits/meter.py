"""Count what a project sends to this process, and refuse requests above its limits."""

from __future__ import annotations

from collections.abc import Callable

from producers.gateway.limits.effective import EffectiveLimits
from producers.gateway.limits.quota import Quota
from producers.gateway.limits.rate_limit import RateLimit
from producers.gateway.limits.refusal import refuse


class Meter:
    """The limits of a project, and how much of them is used."""

    __slots__ = ("_bytes", "_events", "_gateways", "_now_s", "_of_bytes", "_of_events", "_quota")

    def __init__(
        self,
        limits: EffectiveLimits,
        gateways: int,
        now_s: Callable[[], float],
        quota: Quota | None = None,
    ) -> None:
        """Allow an equal share of the rates, because ``gateways`` processes divide them."""
        self._gateways = gateways
        self._now_s = now_s
        self._of_events = RateLimit()
        self._of_bytes = RateLimit()
        self.change(limits, quota)

    def change(self, limits: EffectiveLimits, quota: Quota | None) -> None:
        """Set new limits; what was used of the rates remains used."""
        now_s, burst_s = self._now_s(), limits.burst_s
        self._events = self._of_events.change(limits.events_per_s / self._gateways, burst_s, now_s)
        self._bytes = self._of_bytes.change(limits.bytes_per_s / self._gateways, burst_s, now_s)
        self._quota = quota

    @property
    def is_needed(self) -> bool:
        """Return whether there is any limit."""
        return not (self._events is None and self._bytes is None and self._quota is None)

    def check(self, events: int, size: int) -> None:
        """Refuse a request if ``events`` and ``size``, which may be a part of it, exceed a limit.

        Raises:
            TooManyRequestsError: the request can be sent again after ``retry_after_s``.
        """
        bucket = self._events
        if bucket is not None and bucket.tokens < events:
            wait_s = bucket.wait_s(events, self._now_s())
            if wait_s:
                refuse("events_per_s", f"{bucket.rate_per_s:g} events per second", wait_s)
        bucket = self._bytes
        if bucket is not None and bucket.tokens < size:
            wait_s = bucket.wait_s(size, self._now_s())
            if wait_s:
                refuse("bytes_per_s", f"{bucket.rate_per_s:g} bytes per second", wait_s)
        if self._quota is not None:
            self._quota.check(events, size)

    def take(self, events: int, size: int) -> None:
        """Count a whole request, or refuse it like ``check``."""
        self.check(events, size)
        if self._events is not None:
            self._events.take(events)
        if self._bytes is not None:
            self._bytes.take(size)
        if self._quota is not None:
            self._quota.add(events, size)

    def put_back(self, events: int, size: int) -> None:
        """Subtract a request that was not published and will be sent again."""
        if self._events is not None:
            self._events.put_back(events)
        if self._bytes is not None:
            self._bytes.put_back(size)
        if self._quota is not None:
            self._quota.add(-events, -size)
