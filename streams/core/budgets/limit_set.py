"""Keep the limits of all budgets, and the meters that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from producers.control.kinds.budget import Budget
from producers.control.periods import FOREVER_US
from producers.notifications.alert import Alert
from producers.tiers.record import Tier
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import Group, LimitRule
from streams.core.budgets.meters import SECOND_US, Meter
from streams.core.budgets.spend_meters import SpendMeters
from streams.core.budgets.sums import PeriodSums
from streams.core.budgets.usual_spend import UsualSpend


@dataclass(slots=True)
class LimitSet:
    """The limits of a partition's budgets.

    Attributes:
        tier_of: returns the tier that a project's user is mapped to.
        send: sends an alert.
        usual_retry_s: pause after usual spend could not be read.
        is_partial: whether events wait, which all sums may lack; None if that is not known yet.
    """

    tier_of: Callable[[str, str], str]
    send: Callable[[Alert], None]
    usual_retry_s: float
    meters: SpendMeters = field(default_factory=SpendMeters)
    usual: UsualSpend = field(init=False)
    is_partial: bool | None = None
    _of_budget: dict[str, dict[str, LimitGroups]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.usual = UsualSpend(lambda: (limit.rule.budget for limit in self), self.usual_retry_s)

    def __iter__(self) -> Iterator[LimitGroups]:
        for limits in self._of_budget.values():
            yield from limits.values()

    def with_tier_of(self, tier: Tier) -> Iterator[tuple[LimitGroups, PeriodSums, Group]]:
        """Yield the groups of a user whose limits depend on the user's tier."""
        for limit in self:
            rule = limit.rule
            if rule.budget.project_id != tier.project_id or not rule.limit.tiers:
                continue
            for sums in limit.periods():
                for group in limit.groups_of_user(sums, tier.user_id):
                    yield limit, sums, group

    def of_budget(self, budget_id: str) -> dict[str, LimitGroups]:
        """Return the limits of a budget by name."""
        return self._of_budget.get(budget_id, {})

    def get(self, budget_id: str, name: str) -> LimitGroups | None:
        """Return a limit, or None."""
        return self.of_budget(budget_id).get(name)

    def attach(self, rule: LimitRule) -> LimitGroups:
        """Add a limit, and its meter if there is none."""
        meter = self.meters.get(rule.meter) or self.meters.create(rule.meter)
        limit = LimitGroups(rule, meter, self.tier_of, self.send, self.usual.forecaster)
        meter.limits.append(limit)
        self._of_budget.setdefault(rule.budget.id, {})[rule.limit.name] = limit
        return limit

    def add(self, rule: LimitRule, now_us: int) -> LimitGroups:
        """Add a limit that has not been evaluated before.

        It includes the current period, and the previous one if the budget is older than it. Other
        periods that its meter has are included as soon as they change.
        """
        is_shared = self.meters.get(rule.meter) is not None
        limit = self.attach(rule)
        meter, budget = limit.meter, rule.budget
        start_us, end_us = meter.bounds(now_us)
        included = {meter.period(start_us, end_us).start_us}
        if end_us < FOREVER_US and budget.created_us < start_us:
            included.add(meter.period(*meter.bounds(start_us - 1)).start_us)
        if is_shared:
            limit.excluded = meter.periods.keys() - included
        else:
            self._begin(meter, budget, now_us, end_us)
        meter.assign_all()
        return limit

    def _begin(self, meter: Meter, budget: Budget, now_us: int, end_us: int) -> None:
        """Note from when on a new meter is complete."""
        horizon_us = max(now_us, self.meters.horizon_s(budget.project_id) * SECOND_US)
        if meter.rolling_us:
            meter.complete_from_us = horizon_us
        elif end_us < FOREVER_US:
            meter.complete_from_us = meter.bounds(horizon_us)[1]

    def remove(self, limit: LimitGroups) -> None:
        """Remove a limit, and its meter if no other limit uses it."""
        budget_id, name = limit.rule.id
        limits = self._of_budget[budget_id]
        del limits[name]
        if not limits:
            del self._of_budget[budget_id]
        meter = limit.meter
        meter.limits.remove(limit)
        if meter.limits:
            meter.assign_all()
        else:
            self.meters.remove(meter.key)
