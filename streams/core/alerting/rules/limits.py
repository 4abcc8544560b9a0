"""Define the limits of rules, and count what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.core.alerting.rules.panes import PaneQuota


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """Named limits of the settings of the alerting stage."""

    groups_max: int = 10_000
    late_max_s: int = 300
    idle_max_s: int = 86_400
    quota: PaneQuota = field(default_factory=lambda: PaneQuota(1_000_000))


@dataclass(slots=True)
class Counts:
    """Numbers of refused changes and groups; the evaluator reads and resets them."""

    late: int = 0
    ahead: int = 0
    groups: int = 0
