"""Determine the limits of a project: its own, or else the defaults of the installation."""

from __future__ import annotations

from typing import NamedTuple

from producers.control.kinds.limits import Limits
from producers.settings import LimitsSettings
from producers.usage.periods import QuotaPeriod


class EffectiveLimits(NamedTuple):
    """The limits of a project for all gateways together; 0 means no limit."""

    events_per_s: float
    bytes_per_s: float
    burst_s: float
    """Size of a burst after a pause, in seconds of the maximum rates."""
    quota_period: QuotaPeriod
    quota_events: int
    """Maximum number of events per period."""
    quota_bytes: int
    """Maximum bytes per period."""

    @property
    def has_rates(self) -> bool:
        return bool(self.events_per_s or self.bytes_per_s)

    @property
    def has_quota(self) -> bool:
        return bool(self.quota_events or self.quota_bytes)


def effective_limits(own: Limits | None, defaults: LimitsSettings) -> EffectiveLimits:
    """Return the limits of a project from its own limits and the defaults."""
    found = {name: getattr(defaults, name) for name in EffectiveLimits._fields}
    if own is not None:
        own_values = {name: getattr(own, name) for name in EffectiveLimits._fields}
        found |= {name: value for name, value in own_values.items() if value is not None}
    return EffectiveLimits(**found)
