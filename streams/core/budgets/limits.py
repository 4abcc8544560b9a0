"""Compile the limits of budgets: meters and the amounts of thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from producers.budgets.groups import limit_of_group
from producers.control.kinds.budget import USER, Budget, BudgetLimit
from producers.control.periods import CALENDAR
from streams.core.dimensions.compiling import compiled, tuple_of
from streams.core.dimensions.keys import CellKey, Scope, scope_of
from streams.core.dimensions.sources import SPEND_DIMENSIONS

Group = tuple[str, ...]
"""Values of the dimensions of ``group_by``."""

_NAMES: Final = tuple(each.name for each in SPEND_DIMENSIONS)
_TIER: Final = "user_tier"
TIER_AT: Final = _NAMES.index(_TIER) if _TIER in _NAMES else None
"""Position of the user's tier in keys of spend."""


class MeterKey(NamedTuple):
    """What a meter adds up; limits with the same key share a meter."""

    project_id: str
    scope: Scope
    group_by: tuple[str, ...]
    period: str
    time_zone: str
    """``UTC`` for periods without a calendar."""

    def group_getter(self) -> Callable[[CellKey], Group]:
        """Return a function that returns the group of a spend cell."""
        parts = [f"key[{_NAMES.index(name)}]" for name in self.group_by]
        return compiled("key", tuple_of(parts))  # type: ignore[no-any-return]


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
    named: Callable[[Group], dict[str, str]] = field(init=False)
    """Returns a group's values by dimension."""
    user_of: Callable[[Group], str] = field(init=False)
    """Returns the user of a group; empty if groups have none."""
    _steps: dict[int, Steps] = field(default_factory=dict)
    _hash: str = ""

    def __post_init__(self) -> None:
        names = self.meter.group_by
        values = ", ".join(f"{name!r}: group[{at}]" for at, name in enumerate(names))
        self.named = compiled("group", f"{{{values}}}")
        self.user_of = compiled("group", f"group[{names.index(USER)}]" if USER in names else "''")

    @property
    def id(self) -> tuple[str, str]:
        """Return the id of the budget, and the name of the limit."""
        return self.budget.id, self.limit.name

    @property
    def hash(self) -> str:
        """Return a hash that changes with the definition of what the limit adds up."""
        if not self._hash:
            project_id, *added_up = self.meter
            identity = repr((project_id, *self.id, *added_up))
            self._hash = sha256(identity.encode()).hexdigest()[:12]
        return self._hash

    @property
    def is_eager(self) -> bool:
        """Return whether changes matter that cross no threshold."""
        return bool(self.budget.forecast) or self.budget.burn_rate is not None

    def amount(self, group: Group, mapped_tier: str, trace_tier: str) -> tuple[str, int]:
        """Return the tier and the limit of a group; 0: no limit."""
        limit = self.limit
        if not (limit.tiers or limit.overrides):
            return "", limit.limit_pico or 0
        return limit_of_group(limit, self.user_of(group), mapped_tier, trace_tier)

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


def _meter_key(budget: Budget, limit: BudgetLimit) -> MeterKey:
    scope: Mapping[str, str] = budget.scope
    zone = budget.time_zone if limit.period in CALENDAR else "UTC"
    return MeterKey(
        budget.project_id,
        scope_of(scope),
        budget.group_by,
        limit.period,
        zone,
    )
