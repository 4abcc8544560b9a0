"""Evaluate budgets: add up the spend of each period and report each crossed threshold once.

The spend of a period is the sum of all matching spend cells. It starts from a *baseline*: the cells
in memory at one moment, plus the stored cells of all groups that are not in memory at that moment.
From then on, each change of a cell is added. The stage queries the stored part:

    new ──begin()──► starting ──settle(stored spend)──► live

If a group is read back during the query, the period is new again. A period is *unsettled* until it
is live. It is tracked when its budget is created or changed, when a delta falls into it, or when it
was unsettled before a restart.

A budget whose evaluation raises is not evaluated until it changes; ``take_failed`` returns it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from streams.core.alerts.crossings import Crossing, alert_id
from streams.core.alerts.past_alerts import AlertIds
from streams.core.budgets.rules import BudgetRule, matches
from streams.core.dimensions.keys import Scope, Shape, scopes_of_shape
from streams.core.rollups.cell_groups import Groups
from streams.core.rollups.spend import SpendCell, SpendKey

PeriodKey = tuple[str, int]
"""Budget id, and start of the period in microseconds."""

RECENT_MAX = 1_000
UNSETTLED_MAX = 50_000
_SECOND_US = 1_000_000


@dataclass(slots=True)
class PeriodSpend:
    """The spend of a budget in one period."""

    budget: BudgetRule
    start_us: int
    end_us: int
    steps: list[tuple[int, str]]
    """Thresholds that are not crossed yet, in descending order."""
    state: str = "new"
    spent_pico: int = 0
    recent: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    """Cost and trace of the changes before the period is live, to find the trace that crossed a
    threshold."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A query of the stored spend of ``budget`` from ``start_s`` to before ``end_s``.

    The buckets ``in_memory`` are not queried.
    """

    key: PeriodKey
    budget: BudgetRule
    start_s: int
    end_s: int
    in_memory: tuple[int, ...]
    arrivals: int
    """Number of groups loaded so far; the result is valid only if no more are loaded meanwhile."""


@dataclass(frozen=True, slots=True)
class FailedBudget:
    """A budget whose evaluation raised."""

    rule: BudgetRule
    error: Exception


@dataclass(slots=True)
class _Scopes:
    """The budgets of a project by scope, and the dimensions that each scope uses."""

    rules: dict[Scope, list[BudgetRule]] = field(default_factory=dict)
    shapes: set[Shape] = field(default_factory=set)

    def put(self, rule: BudgetRule) -> None:
        self.rules.setdefault(rule.scope_key, []).append(rule)
        self._shape()

    def remove(self, rule: BudgetRule) -> None:
        self.rules[rule.scope_key].remove(rule)
        if not self.rules[rule.scope_key]:
            del self.rules[rule.scope_key]
        self._shape()

    def _shape(self) -> None:
        self.shapes = {tuple(part is not None for part in scope) for scope in self.rules}


@dataclass(slots=True)
class Budgets:
    """All budgets of the projects of a partition.

    Args:
        alerted: ids of earlier alerts; the id of each crossing is added.
        periods_max: limit of tracked periods. Above it, the least recently used live periods are
            evicted; they start from a new baseline when they change. Unsettled periods are not
            evicted: while ``is_full``, callers settle some before they apply more records.
        unsettled_max: limit of unsettled periods, because the checkpoint lists them; further ones
            are not evaluated.
    """

    alerted: AlertIds
    periods_max: int
    unsettled_max: int = UNSETTLED_MAX
    _rules: dict[str, BudgetRule] = field(default_factory=dict)
    _by_scope: dict[str, _Scopes] = field(default_factory=dict)
    _live: OrderedDict[PeriodKey, PeriodSpend] = field(default_factory=OrderedDict)
    _unsettled: dict[PeriodKey, PeriodSpend] = field(default_factory=dict)
    _dropped: int = 0
    _not_evaluated: int = 0
    _failed: list[FailedBudget] = field(default_factory=list)

    @property
    def unsettled(self) -> list[PeriodKey]:
        """Return the periods that are not live."""
        return list(self._unsettled)

    @property
    def is_settled(self) -> bool:
        """Return whether every period is live."""
        return not self._unsettled

    @property
    def is_full(self) -> bool:
        """Return whether some unsettled periods must be settled before records are applied."""
        return len(self._unsettled) >= min(self.periods_max, max(1, self.unsettled_max // 2))

    def __len__(self) -> int:
        return len(self._live) + len(self._unsettled)

    def put(self, rule: BudgetRule, now_us: int) -> None:
        """Add or update a budget, and track its current and its previous period.

        The previous period is tracked only if it ended after the budget was created. It is
        evaluated in case no worker was running when it ended.
        """
        if self._rules.get(rule.id) == rule:
            return
        self.remove(rule.id)
        try:
            self._watch(rule, now_us)
        except Exception as error:  # noqa: BLE001  # the other budgets are still evaluated
            self.set_aside(rule, error)

    def _watch(self, rule: BudgetRule, now_us: int) -> None:
        scopes = self._by_scope.get(rule.project_id) or _Scopes()
        scopes.put(rule)
        self._by_scope[rule.project_id] = scopes
        self._rules[rule.id] = rule
        start_us, _ = self.track(rule.id, now_us // _SECOND_US)
        if rule.created_us < start_us:
            self.track(rule.id, start_us // _SECOND_US - 1)

    def set_aside(self, rule: BudgetRule, error: Exception) -> None:
        """Stop evaluating a budget whose evaluation raised."""
        self.remove(rule.id)
        self._failed.append(FailedBudget(rule, error))

    def take_failed(self) -> list[FailedBudget]:
        """Return the budgets that were set aside since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def remove(self, budget_id: str) -> None:
        """Remove a budget and its periods, if there is such a budget."""
        rule = self._rules.pop(budget_id, None)
        if rule is None:
            return
        scopes = self._by_scope[rule.project_id]
        scopes.remove(rule)
        if not scopes.rules:
            del self._by_scope[rule.project_id]
        for periods in (self._live, self._unsettled):
            for key in [key for key in periods if key[0] == budget_id]:
                del periods[key]

    def track(self, budget_id: str, at_s: int) -> tuple[int, int]:
        """Track the period that contains ``at_s``; return its bounds in microseconds."""
        rule = self._rules[budget_id]
        start_us, end_us = rule.period_of(at_s)
        self._period(rule, start_us, end_us)
        return start_us, end_us

    def resume(self, keys: list[PeriodKey]) -> None:
        """Track the periods that were unsettled before a restart."""
        for budget_id, start_us in keys:
            rule = self._rules.get(budget_id)
            if rule is not None:
                try:
                    self.track(budget_id, start_us // _SECOND_US)
                except Exception as error:  # noqa: BLE001  # the other budgets are still evaluated
                    self.set_aside(rule, error)

    def add(
        self, project_id: str, bucket_s: int, key: SpendKey, cost_pico: int, trace_id: str
    ) -> list[Crossing]:
        """Add a change of a spend cell to the periods it matches; return crossed thresholds."""
        scopes = self._by_scope.get(project_id)
        if scopes is None:
            return []
        crossings: list[Crossing] = []
        for shape in tuple(scopes.shapes):
            rules = [
                rule
                for scope in scopes_of_shape(shape, key)
                for rule in scopes.rules.get(scope, ())
            ]
            for rule in rules:
                try:
                    crossings += self._add(rule, bucket_s, cost_pico, trace_id)
                except Exception as error:  # noqa: BLE001  # the other budgets are still evaluated
                    self.set_aside(rule, error)
        return crossings

    def _add(
        self, rule: BudgetRule, bucket_s: int, cost_pico: int, trace_id: str
    ) -> list[Crossing]:
        try:
            start_us, end_us = rule.period_of(bucket_s)
        except ValueError:
            return []
        period = self._period(rule, start_us, end_us)
        if period is None:
            return []
        if period.state != "new":
            period.spent_pico += cost_pico
        if period.state == "live":
            return self._crossings(period, period.spent_pico, trace_id)
        period.recent.append((cost_pico, trace_id))
        return []

    def begin(self, spend: Groups[SpendKey, SpendCell], limit: int) -> list[Baseline]:
        """Add up the cells in memory for up to ``limit`` unsettled periods; return the queries."""
        first = list(islice(self._unsettled.items(), limit))
        baselines: list[Baseline] = []
        for key, period in first:
            try:
                baselines.append(self._begin(key, period, spend))
            except Exception as error:  # noqa: BLE001  # the other budgets are still evaluated
                self.set_aside(period.budget, error)
        return baselines

    def settle(
        self, baseline: Baseline, stored_pico: int, arrivals: Mapping[str, int]
    ) -> list[Crossing] | None:
        """Add the stored spend to a period, which becomes live; return crossed thresholds.

        Returns None if the query is outdated; the period is then new again.
        """
        period = self._unsettled.get(baseline.key)
        if period is None or period.budget is not baseline.budget:
            return []
        if arrivals.get(baseline.budget.project_id, 0) != baseline.arrivals:
            period.state = "new"
            return None
        try:
            return self._settle(period, baseline.key, stored_pico)
        except Exception as error:  # noqa: BLE001  # the other budgets are still evaluated
            self.set_aside(period.budget, error)
            return []

    def _settle(self, period: PeriodSpend, key: PeriodKey, stored_pico: int) -> list[Crossing]:
        period.spent_pico += stored_pico
        period.state = "live"
        self._live[key] = self._unsettled.pop(key)
        self._evict()
        recent, period.recent = period.recent, deque()
        spent_pico = period.spent_pico - sum(cost_pico for cost_pico, _ in recent)
        crossings = self._crossings(period, spent_pico, "")
        for cost_pico, trace_id in recent:
            spent_pico += cost_pico
            crossings += self._crossings(period, spent_pico, trace_id)
        return crossings

    def take_not_evaluated(self) -> int:
        """Return how many periods exceeded ``unsettled_max`` since the last call."""
        not_evaluated, self._not_evaluated = self._not_evaluated, 0
        return not_evaluated

    def take_dropped(self) -> int:
        """Return how many periods were evicted since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def spent_pico(self, key: PeriodKey) -> int | None:
        """Return the spend of a live period; None for others."""
        period = self._live.get(key)
        return None if period is None else period.spent_pico

    def _period(self, rule: BudgetRule, start_us: int, end_us: int) -> PeriodSpend | None:
        """Track a period and return it; None if too many periods are unsettled."""
        key = (rule.id, start_us)
        period = self._live.get(key)
        if period is not None:
            self._live.move_to_end(key)
            return period
        period = self._unsettled.get(key)
        if period is not None:
            return period
        if len(self._unsettled) >= self.unsettled_max:
            self._not_evaluated += 1
            return None
        steps = [
            (pico, threshold)
            for pico, threshold in reversed(rule.steps())
            if alert_id(rule, start_us, threshold) not in self.alerted
        ]
        period = self._unsettled[key] = PeriodSpend(rule, start_us, end_us, steps)
        self._evict()
        return period

    def _evict(self) -> None:
        while self._live and len(self) > self.periods_max:
            self._live.popitem(last=False)
            self._dropped += 1

    def _begin(
        self, key: PeriodKey, period: PeriodSpend, spend: Groups[SpendKey, SpendCell]
    ) -> Baseline:
        budget, scope = period.budget, period.budget.scope_key
        start_s, end_s = -(-period.start_us // _SECOND_US), -(-period.end_us // _SECOND_US)
        groups = {
            bucket_s: group
            for bucket_s, group in spend.of_project(budget.project_id).items()
            if start_s <= bucket_s < end_s
        }
        period.spent_pico = sum(
            cell.cost_pico
            for group in groups.values()
            for cell_key, cell in group.cells.items()
            if matches(scope, cell_key)
        )
        period.state = "starting"
        arrivals = spend.arrivals.get(budget.project_id, 0)
        return Baseline(key, budget, start_s, end_s, tuple(sorted(groups)), arrivals)

    def _crossings(self, period: PeriodSpend, spent_pico: int, trace_id: str) -> list[Crossing]:
        crossings = []
        while period.steps and spent_pico >= period.steps[-1][0]:
            _, threshold = period.steps.pop()
            crossing = Crossing(period.budget, period.start_us, threshold, spent_pico, trace_id)
            if crossing.id not in self.alerted:
                self.alerted.add(crossing.id)
                crossings.append(crossing)
        return crossings
