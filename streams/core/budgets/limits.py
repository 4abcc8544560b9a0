"""Compile the limits of budgets: meters and the amounts of thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec

from producers.budgets.groups import limit_of_group
from producers.control.kinds.budget import USER, Budget, BudgetLimit
from producers.control.periods import CALENDAR
from streams.core.dimensions.keys import CellKey, Scope, scope_of
from streams.core.dimensions.sources import SPEND_DIMENSIONS

Group = tuple[str, ...]
"""Values of the dimensions of ``group_by``."""

_NAMES: Final = tuple(each.name for each in SPEND_DIMENSIONS)
_TIER: Final = "user_tier"
TIER_AT: Final = _NAMES.index(_TIER) if _TIER in _NAMES else None
"""Position of the user's tier in keys of spend."""


class MeterKey(NamedTuple):
    """What the meter of a limit adds up.

    Each limit has a meter of its own. If limits shared sums, a crash during a flush could leave a
    sum that is newer than what is known of the thresholds of one of them.
    """

    project_id: str
    budget_id: str
    limit_name: str
    scope: Scope
    group_by: tuple[str, ...]
    period: str
    time_zone: str
    """``UTC`` for periods without a calendar."""

    @property
    def positions(self) -> tuple[int, ...]:
        """Return the positions of the group's values in keys of spend."""
        return tuple(map(_NAMES.index, self.group_by))


class Steps(NamedTuple):
    """The thresholds of an amount, ascending."""

    pico: tuple[int, ...]
    """A threshold is crossed when the spend reaches its picodollars."""
    thresholds: tuple[str, ...]


@dataclass(slots=True)
class LimitRule:
    """A limit of a budget, as the evaluation needs it."""

    budget: Budget
    limit: BudgetLimit
    meter: MeterKey
    scope_json: msgspec.Raw
    _steps: dict[int, Steps] = field(default_factory=dict)

    @property
    def depends_on_user(self) -> bool:
        """Return whether users have different limits."""
        return bool(self.limit.tiers or self.limit.overrides)

    def amount(self, group: Group, mapped_tier: str, trace_tier: str) -> tuple[str, int]:
        """Return the tier and the limit of a group; 0: no limit."""
        if not self.depends_on_user:
            return "", self.limit.limit_pico or 0
        return limit_of_group(self.limit, self.user_of(group), mapped_tier, trace_tier)

    def user_of(self, group: Group) -> str:
        """Return the user of a group; empty if groups have none."""
        names = self.meter.group_by
        return group[names.index(USER)] if USER in names else ""

    def steps(self, limit_pico: int) -> Steps:
        """Return the thresholds of a limit."""
        found = self._steps.get(limit_pico)
        if found is None:
            pairs = [
                (-(-limit_pico * Fraction(share) // 1), share)
                for share in (self.budget.thresholds if limit_pico else ())
            ]
            found = Steps(tuple(pico for pico, _ in pairs), tuple(share for _, share in pairs))
            self._steps[limit_pico] = found
        return found

    def named(self, group: Group) -> dict[str, str]:
        """Return a group's values by dimension."""
        return dict(zip(self.meter.group_by, group, strict=True))


def rules_of(budget: Budget) -> list[LimitRule]:
    """Return the limits of a budget.

    Raises:
        ValueError: this version does not know a dimension of the budget.
    """
    unknown = [name for name in (*budget.scope, *budget.group_by) if name not in _NAMES]
    if unknown:
        raise ValueError(f"unknown dimension {unknown[0]!r}")
    scope_json = msgspec.Raw(msgspec.json.encode(budget.scope, order="sorted"))
    return [
        LimitRule(budget, limit, _meter_key(budget, limit), scope_json)
        for limit in budget.all_limits()
    ]


def group_of_key(key: CellKey, positions: tuple[int, ...]) -> Group:
    """Return the group of a spend cell."""
    return tuple([key[at] for at in positions])


def _meter_key(budget: Budget, limit: BudgetLimit) -> MeterKey:
    scope: Mapping[str, str] = budget.scope
    zone = budget.time_zone if limit.period in CALENDAR else "UTC"
    return MeterKey(
        budget.project_id,
        budget.id,
        limit.name,
        scope_of(scope),
        budget.group_by,
        limit.period,
        zone,
    )
