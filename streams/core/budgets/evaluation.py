"""Budgets: what was spent in each period, and which thresholds that crosses, each once.

The spend of a period is, at any moment, the sum of all matching spend cells. It begins with a *baseline*: the cells in memory at one moment, plus what the store has of the groups that were
not in memory then. From that moment every change applied to a cell is added. The shell fetches the store's part:

    wanted ──begin()──► starting ──settle(what the store had)──► live        a group read back meanwhile: begin again

A period is wanted when its budget appears, when a delta falls into it, or when a restart finds it unsettled.

A budget that raises is set aside: it is not evaluated until it changes, and ``take_failed`` names
it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from streams.core.alerts.crossings import Crossing, alert_id
from streams.core.alerts.past_alerts import AlertIds
from streams.core.budgets.rules import BudgetRule, matches
from streams.core.dimensions.keys import Scope, Shape, scope_of_shape
from streams.core.rollups.residency import Groups
from streams.core.rollups.spend import SpendCell, SpendKey

PeriodKey = tuple[str, int]
"""Budget, period start in microseconds."""

RECENT_MAX = 1_000
UNSETTLED_MAX = 50_000
_SECOND_US = 1_000_000


@dataclass(slots=True)
class PeriodSpend:
    """A budget in one of its periods."""

    budget: BudgetRule
    start_us: int
    end_us: int
    steps: list[tuple[int, str]]
    """Thresholds not crossed yet, lowest last."""
    state: str = "wanted"
    spent_pico: int = 0
    recent: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    """Cost and trace of what was added while it was not live: who crossed is told afterwards."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A question to the store: what did ``budget`` spend in the buckets from ``start_s`` to before ``end_s``, ``resident`` ones left out?"""

    key: PeriodKey
    budget: BudgetRule
    start_s: int
    end_s: int
    resident: tuple[int, ...]
    arrivals: int
    """How many groups had arrived when it was asked; the answer counts only if none has since."""


@dataclass(frozen=True, slots=True)
class FailedBudget:
    """A budget whose evaluation raised."""

    rule: BudgetRule
    error: Exception


@dataclass(slots=True)
class _Scopes:
    """The budgets of a project by scope, and which parts of a scope any of them names."""

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
    """All budgets of a partition's projects.

    Args:
        alerted: ids of the alerts there were; grows with each crossing.
        periods_max: how many periods are held; the least recently used live one leaves and starts again when it is needed. One that is not live is owed an
            evaluation and stays: whoever adds to a fold that ``is_full`` of them waits until some are settled.
        unsettled_max: periods that are owed one, in all; what more one record or change of budgets
            asks for is not evaluated. The marker names them all.
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
        """Periods whose baseline is not known yet."""
        return list(self._unsettled)

    @property
    def is_settled(self) -> bool:
        """Whether there are none of these."""
        return not self._unsettled

    @property
    def is_full(self) -> bool:
        """Whether there are as many of these as periods may be held."""
        return len(self._unsettled) >= min(self.periods_max, max(1, self.unsettled_max // 2))

    def __len__(self) -> int:
        return len(self._live) + len(self._unsettled)

    def put(self, rule: BudgetRule, now_us: int) -> None:
        """Take a new budget, or another version of one, and want its current period and the one before.

        The one before counts only if it ended after the budget was made: a worker that was down over midnight owes it an evaluation.
        """
        if self._rules.get(rule.id) == rule:
            return
        self.remove(rule.id)
        try:
            self._watch(rule, now_us)
        except Exception as error:  # noqa: BLE001  # whatever it holds, the others count
            self.set_aside(rule, error)

    def _watch(self, rule: BudgetRule, now_us: int) -> None:
        scopes = self._by_scope.get(rule.project_id) or _Scopes()
        scopes.put(rule)
        self._by_scope[rule.project_id] = scopes
        self._rules[rule.id] = rule
        start_us, _ = self.want(rule.id, now_us // _SECOND_US)
        if rule.created_us < start_us:
            self.want(rule.id, start_us // _SECOND_US - 1)

    def set_aside(self, rule: BudgetRule, error: Exception) -> None:
        """Stop evaluating a budget that raised."""
        self.remove(rule.id)
        self._failed.append(FailedBudget(rule, error))

    def take_failed(self) -> list[FailedBudget]:
        """Return the budgets that were set aside since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def remove(self, budget_id: str) -> None:
        """Forget a budget and its periods; unknown ids are fine."""
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

    def want(self, budget_id: str, at_s: int) -> tuple[int, int]:
        """Make sure that the period holding ``at_s`` is watched; its bounds in microseconds."""
        rule = self._rules[budget_id]
        start_us, end_us = rule.period_of(at_s)
        self._period(rule, start_us, end_us)
        return start_us, end_us

    def resume(self, keys: list[PeriodKey]) -> None:
        """Want again what was unsettled before a restart."""
        for budget_id, start_us in keys:
            rule = self._rules.get(budget_id)
            if rule is not None:
                try:
                    self.want(budget_id, start_us // _SECOND_US)
                except Exception as error:  # noqa: BLE001  # whatever it holds, the others count
                    self.set_aside(rule, error)

    def add(
        self, project_id: str, bucket_s: int, key: SpendKey, cost_pico: int, trace_id: str
    ) -> list[Crossing]:
        """Count what was just added to a spend cell."""
        scopes = self._by_scope.get(project_id)
        if scopes is None:
            return []
        crossings: list[Crossing] = []
        for shape in tuple(scopes.shapes):
            for rule in tuple(scopes.rules.get(scope_of_shape(shape)(key), ())):
                try:
                    crossings += self._add(rule, bucket_s, cost_pico, trace_id)
                except Exception as error:  # noqa: BLE001  # whatever it holds, the others count
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
        if period.state != "wanted":
            period.spent_pico += cost_pico
        if period.state == "live":
            return self._crossings(period, period.spent_pico, trace_id)
        period.recent.append((cost_pico, trace_id))
        return []

    def begin(self, spend: Groups[SpendKey, SpendCell], limit: int) -> list[Baseline]:
        """Start up to ``limit`` unsettled periods from the cells in memory; what to ask the store for the rest."""
        first = list(islice(self._unsettled.items(), limit))
        baselines: list[Baseline] = []
        for key, period in first:
            try:
                baselines.append(self._begin(key, period, spend))
            except Exception as error:  # noqa: BLE001  # whatever it holds, the others count
                self.set_aside(period.budget, error)
        return baselines

    def settle(
        self, baseline: Baseline, stored_pico: int, arrivals: Mapping[str, int]
    ) -> list[Crossing] | None:
        """Take the store's answer; ``None`` if it no longer counts (the period stays unsettled)."""
        period = self._unsettled.get(baseline.key)
        if period is None or period.budget is not baseline.budget:
            return []
        if arrivals.get(baseline.budget.project_id, 0) != baseline.arrivals:
            period.state = "wanted"
            return None
        try:
            return self._settle(period, baseline.key, stored_pico)
        except Exception as error:  # noqa: BLE001  # whatever it holds, the others count
            self.set_aside(period.budget, error)
            return []

    def _settle(self, period: PeriodSpend, key: PeriodKey, stored_pico: int) -> list[Crossing]:
        period.spent_pico += stored_pico
        period.state = "live"
        self._live[key] = self._unsettled.pop(key)
        self._shed()
        recent, period.recent = period.recent, deque()
        spent_pico = period.spent_pico - sum(cost_pico for cost_pico, _ in recent)
        crossings = self._crossings(period, spent_pico, "")
        for cost_pico, trace_id in recent:
            spent_pico += cost_pico
            crossings += self._crossings(period, spent_pico, trace_id)
        return crossings

    def take_not_evaluated(self) -> int:
        """Return how many periods the limit of unevaluated ones left out since the last call."""
        not_evaluated, self._not_evaluated = self._not_evaluated, 0
        return not_evaluated

    def take_dropped(self) -> int:
        """How many periods left since the last call because there were too many."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def spent_pico(self, key: PeriodKey) -> int | None:
        """The spend of a live period."""
        period = self._live.get(key)
        return None if period is None else period.spent_pico

    def _period(self, rule: BudgetRule, start_us: int, end_us: int) -> PeriodSpend | None:
        """Start evaluating a period and return it; ``None`` if too many are not evaluated yet."""
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
        self._shed()
        return period

    def _shed(self) -> None:
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
