"""Resolves the limits of a project: its own, or else the defaults of the installation."""

from __future__ import annotations

from dataclasses import dataclass

from producers.control.kinds.limits import Limits
from producers.settings import LimitsSettings


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits of a project over all gateways; 0: no limit."""

    events_per_s: float
    bytes_per_s: float
    burst_s: float
    """Seconds of a rate that may be sent at once."""

    def __bool__(self) -> bool:
        """Return whether there is any limit."""
        return bool(self.events_per_s or self.bytes_per_s)


def effective_limits(own: Limits | None, defaults: LimitsSettings) -> EffectiveLimits:
    """Return the limits that hold for a project with these limits of its own."""
    if own is None:
        return EffectiveLimits(defaults.events_per_s, defaults.bytes_per_s, defaults.burst_s)
    return EffectiveLimits(
        defaults.events_per_s if own.events_per_s is None else own.events_per_s,
        defaults.bytes_per_s if own.bytes_per_s is None else own.bytes_per_s,
        defaults.burst_s if own.burst_s is None else own.burst_s,
    )
