"""Fold a budget over stored spend of the past, with the code that evaluates it on the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from producers.budgets.forecast import LINEAR, Forecaster
from producers.control.kinds.budget import Budget
from producers.control.periods import QUARTER_US
from producers.notifications.alert import Alert
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import Group, LimitRule, rules_of
from streams.core.budgets.meters import QUARTER_S, SECOND_US, Meter
from streams.core.budgets.sums import GroupSum, PeriodSums

SeriesKey = tuple[str, Group]
"""The name of a limit, and a group."""
Point = tuple[int, int]
"""Time in seconds, and the picodollars that were spent in its period."""


class PastSpend(NamedTuple):
    """The spend of a group in a quarter of an hour; ``tier`` is that of its traces."""

    start_s: int
    group: Group
    cost_pico: int
    tier: str = ""


class EarlierSpend(NamedTuple):
    """What a limit needs from before the range: spend since ``from_s``.

    If ``is_whole``, the sum of each group is sufficient.
    """

    limit_name: str
    from_s: int
    is_whole: bool


@dataclass(slots=True)
class BudgetBacktest:
    """What a budget would have done.

    Attributes:
        alerts: alerts in the range, oldest first.
        series: spend of the current period by limit and group, when it changed.
        amounts: the limits in picodollars; 0: none.
    """

    alerts: list[Alert] = field(default_factory=list)
    series: dict[SeriesKey, list[Point]] = field(default_factory=dict)
    amounts: dict[SeriesKey, int] = field(default_factory=dict)


def earlier_spend(budget: Budget, from_s: int) -> list[EarlierSpend]:
    """Return what the limits of a budget need from before ``from_s``.

    Raises:
        ValueError: this version does not know a dimension of the budget.
    """
    found = []
    for rule in rules_of(budget):
        meter = Meter(rule.meter)
        if meter.rolling_us:
            start_s = (from_s * SECOND_US - meter.rolling_us) // QUARTER_US * QUARTER_S
        else:
            start_s = meter.bounds(from_s * SECOND_US)[0] // SECOND_US
        if start_s < from_s:
            found.append(EarlierSpend(rule.limit.name, start_s, not meter.rolling_us))
    return found


def backtest(
    budget: Budget,
    earlier: Mapping[str, Sequence[PastSpend]],
    spend: Iterable[PastSpend],
    from_s: int,
    to_s: int,
    *,
    tier_of: Callable[[str, str], str],
    step_s: int,
    forecaster: Forecaster = LINEAR,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> BudgetBacktest:
    """Evaluate a budget from ``from_s`` to ``to_s``.

    Burn rates are not evaluated: their windows are shorter than the stored quarters of an hour.

    Args:
        budget: the budget.
        earlier: the spend of ``earlier_spend`` by name of the limit.
        spend: the spend of the range, sorted by start.
        from_s: start of the range, in seconds since the epoch, the beginning of a quarter.
        to_s: end of the range, exclusive.
        tier_of: returns the tier that a project's user is mapped to.
        forecaster: forecasts the spend of periods.
        step_s: minimum number of seconds between two points of a series.
        is_cancelled: whether to give up; it is called for each quarter of an hour.
    """
    found = BudgetBacktest()
    without_burns = budget.model_copy(update={"burn_rate": None})
    limits = [_Limit(rule, found, tier_of, step_s, forecaster) for rule in rules_of(without_burns)]
    for limit in limits:
        limit.begin(earlier.get(limit.name, ()), from_s)
    found.alerts.clear()
    at_s = from_s
    for start_s, rows in groupby(spend, lambda row: row.start_s // QUARTER_S * QUARTER_S):
        if start_s >= to_s or is_cancelled():
            return found
        for limit in limits:
            limit.pass_time(at_s, start_s)
        at_s = start_s + QUARTER_S
        quarter = list(rows)
        for limit in limits:
            limit.add(quarter, min(at_s, to_s))
    for limit in limits:
        limit.pass_time(at_s, to_s)
    return found


class _Limit:
    def __init__(
        self,
        rule: LimitRule,
        found: BudgetBacktest,
        tier_of: Callable[[str, str], str],
        step_s: int,
        forecaster: Forecaster,
    ) -> None:
        self.name = rule.limit.name
        self._found = found
        self._meter = Meter(rule.meter, complete_from_us=0)
        self._meter.complete.add(0)
        self._groups = LimitGroups(
            rule, self._meter, tier_of, found.alerts.append, lambda _budget: forecaster
        )
        self._step_s = step_s
        self._next_s: dict[SeriesKey, int] = {}

    def begin(self, rows: Iterable[PastSpend], from_s: int) -> None:
        """Add the spend before the range; what it crosses is not reported."""
        self._add(rows)
        for sums in self._meter.periods.values():
            for group in sums.groups:
                self._evaluate(sums, group, 0, from_s)

    def add(self, rows: Iterable[PastSpend], end_s: int) -> None:
        """Add the spend of a quarter of an hour, and evaluate the groups that changed."""
        for sums, group, before_pico in self._add(rows):
            self._meter.expire(sums.groups[group], end_s * SECOND_US)
            self._evaluate(sums, group, before_pico, end_s)
            self._point(sums, group, end_s)

    def _add(self, rows: Iterable[PastSpend]) -> list[tuple[PeriodSums, Group, int]]:
        changed: dict[tuple[int, Group], tuple[PeriodSums, Group, int]] = {}
        for row in rows:
            if row.tier and self._groups.rule.limit.tiers:
                self._groups.trace_tiers[row.group] = row.tier
            sums = self._meter.period_at(row.start_s)
            total = sums.groups.setdefault(row.group, GroupSum())
            changed.setdefault((sums.start_us, row.group), (sums, row.group, total.spent_pico))
            total.add(row.start_s, row.cost_pico, "", is_rolling=self._meter.rolling_us > 0)
        return list(changed.values())

    def pass_time(self, from_s: int, to_s: int) -> None:
        """Remove the spend that leaves a rolling period while nothing is spent."""
        if not self._meter.rolling_us:
            return
        for end_s in range(from_s + QUARTER_S, to_s + 1, QUARTER_S):
            for sums in self._meter.periods.values():
                for group, total in sums.groups.items():
                    before_pico = total.spent_pico
                    if self._meter.expire(total, end_s * SECOND_US):
                        self._evaluate(sums, group, before_pico, end_s)
                        self._point(sums, group, end_s)

    def _evaluate(self, sums: PeriodSums, group: Group, before_pico: int, at_s: int) -> None:
        self._groups.evaluate(sums, group, before_pico, at_s * SECOND_US)

    def _point(self, sums: PeriodSums, group: Group, end_s: int) -> None:
        key = (self.name, group)
        self._found.amounts[key] = self._groups.limit_of(group)[1]
        points = self._found.series.setdefault(key, [])
        if points and end_s < self._next_s[key]:
            points[-1] = (end_s, sums.spent_of(group))
            return
        self._next_s[key] = end_s - end_s % self._step_s + self._step_s
        points.append((end_s, sums.spent_of(group)))
