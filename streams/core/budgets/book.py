"""The budgets of the projects of one partition, as an evaluator of the alerting stage.

Each limit has a meter (``streams.core.budgets.meters``).
Thresholds are compared after each delta, when all of its changes are added: a change that moves
spend from one cell to another does not cross a threshold in between.

``spend_queries`` returns the missing readings of stored spend; the stage passes their results to
``spend_read``. Until then, a period is incomplete: its spend is a lower bound, and a threshold that
it has reached is not taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import Any, Final

from producers.control.kinds.budget import Budget
from producers.control.periods import FOREVER_US, QUARTER_US
from producers.control.record import Change, Tombstone
from producers.notifications.alert import Alert
from producers.tiers.record import Tier
from streams.core.alerting.evaluator import EvaluatorContext, State
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import TIER_AT, Group, LimitRule, rules_of
from streams.core.budgets.meters import (
    SECOND_US,
    Meter,
    PeriodSums,
    SpendQuery,
    SpendResult,
)
from streams.core.budgets.notices import BUDGET
from streams.core.budgets.past_alerts import PastAlerts
from streams.core.budgets.restoring import RestoredStates
from streams.core.budgets.spend_meters import SpendMeters
from streams.core.budgets.states import GroupFlags, group_row, limit_row, state_key
from streams.core.rollups.deltas import Delta

MINUTE_US: Final = 60 * SECOND_US


class BudgetBook:
    """The evaluator (``streams.core.alerting.evaluator.Evaluator``)."""

    def __init__(self, context: EvaluatorContext) -> None:
        self._context = context
        self._settings = context.settings
        self._correction_delay_us = int(context.settings.budget_correction_delay_s * SECOND_US)
        self._budgets: dict[str, Budget] = {}
        self._limits: dict[str, dict[str, LimitGroups]] = {}
        """By budget and name of the limit."""
        self._meters = SpendMeters()
        self._dirty_limits: dict[tuple[str, str], None] = {}
        self._removed: list[State] = []
        self._alerts: list[Alert] = []
        self._alerted = PastAlerts(context.settings.budget_alerts_max)
        self._restored: RestoredStates | None = RestoredStates()
        self._now_us = 0
        self._offset = -1
        self._version = 0
        self._contained_to = -1
        self._expired_us = self._swept_us = 0

    def control_changed(self, change: Change, now_us: int) -> None:
        """Add, replace or remove a budget."""
        if isinstance(change, Tombstone):
            if change.kind == BUDGET:
                self._budgets.pop(change.id, None)
                self._remove(change.id, set())
        elif isinstance(change, Budget) and self._context.owns(change.project_id):
            self._budgets[change.id] = change
            if self._restored is None:
                self._put(change, now_us)

    def restore(self, key: str, value: bytes) -> None:
        """Keep a state until ``restored``."""
        assert self._restored is not None
        self._restored.add(key, value)

    def restore_alert(self, alert: Alert) -> None:
        """Remember the id of an alert, which is not sent again."""
        if alert.rule_kind == BUDGET:
            self._alerted.add(alert.id)

    def restored(self, now_us: int) -> None:
        """Create the meters, with their restored states."""
        states, self._restored = self._restored, None
        assert states is not None
        self._now_us, self._version = now_us, states.version
        self._contained_to = states.input_offset
        for budget in self._budgets.values():
            for rule in self._rules_of(budget):
                limit = self._add_limit(rule, now_us, is_known=states.has(rule))
                states.load(limit)
        self._removed += states.stale(now_us)
        for limit in list(self._all_limits()):
            self._evaluate_all(limit, now_us, correction_delay_us=self._correction_delay_us)

    def tier_changed(self, tier: Tier, now_us: int) -> None:
        """Evaluate the groups of a user whose tier has changed."""
        if self._restored is not None:
            return
        for limit in self._all_limits():
            rule = limit.rule
            if rule.budget.project_id != tier.project_id or not rule.limit.tiers:
                continue
            for sums in limit.meter.periods.values():
                for group in self._groups_of_user(limit, sums, tier.user_id):
                    limit.mark(sums, group)
                    spent_pico = sums.spent[group]
                    limit.evaluate(sums, group, spent_pico, now_us)

    # ------------------------------------------------------------------ deltas and time

    def apply(self, delta: Delta, offset: int, now_us: int) -> None:
        """Add the changes of spend, then evaluate the groups that have changed."""
        self._now_us, self._offset = max(self._now_us, now_us), offset
        for each in self._meters.add(delta, offset):
            meter, sums, group = each.meter, each.sums, each.group
            if meter.rolling_us:
                meter.expire(sums, group, self._now_us)
            if len(sums.recorded) > self._settings.budget_recorded_changes_max:
                self._context.limit_reached("budget_recorded_changes_max", 1)
                meter.end_reading(sums)
            for limit in self._limits_of(meter):
                if TIER_AT is not None and each.key[TIER_AT] and limit.rule.limit.tiers:
                    limit.trace_tiers[group] = intern(each.key[TIER_AT])
                limit.mark(sums, group)
                self._evaluate(
                    limit, sums, group, each.before_pico, added_pico=each.added_pico,
                    is_lowered=each.is_lowered, correction_delay_us=self._correction_delay_us,
                )  # fmt: skip

    def tick(self, now_us: int) -> None:
        """Take back thresholds, remove spend of rolling periods, and forget old periods."""
        self._now_us = max(self._now_us, now_us)
        self._correct()
        if self._now_us // QUARTER_US > self._expired_us // QUARTER_US:
            self._expired_us = self._now_us
            self._expire()
        if self._now_us >= self._swept_us + MINUTE_US:
            self._swept_us = self._now_us
            self._sweep()

    def take_alerts(self) -> list[Alert]:
        """Return the alerts since the last call."""
        alerts, self._alerts = self._alerts, []
        return alerts

    def take_states(self) -> list[State]:
        """Return the states that have changed since the last call."""
        removed, self._removed = self._removed, []
        if not (removed or self._dirty_limits or any(limit.dirty for limit in self._all_limits())):
            return []
        self._version = max(self._version + 1, self._now_us)
        self._forget_contained()
        return [*removed, *self._limit_states(), *self._group_states()]

    def _limit_states(self) -> list[State]:
        states = []
        for budget_id, name in self._dirty_limits:
            limit = self._limits.get(budget_id, {}).get(name)
            if limit is not None:
                row = limit_row(limit.rule, limit.meter, self._now_us, self._version)
                states.append(State(state_key(budget_id, name, 0, ""), row))
        self._dirty_limits.clear()
        return states

    def _group_states(self) -> list[State]:
        states: list[State] = []
        written: dict[int, PeriodSums] = {}
        for limit in self._all_limits():
            for start_us, groups in limit.dirty.items():
                sums = limit.meter.periods.get(start_us)
                if sums is not None:
                    written[id(sums)] = sums
                    states += [self._state(limit, sums, group) for group in groups]
            limit.dirty.clear()
        for sums in written.values():
            sums.traces.clear()
            if sums.newer and self._offset >= max(sums.newer.values()):
                sums.newer.clear()
        return states

    def _forget_contained(self) -> None:
        """Forget what restored sums contain, when all of it was applied."""
        if self._offset >= self._contained_to >= 0:
            self._contained_to = -1
            for meter in self._meters:
                for sums in meter.periods.values():
                    sums.contained.clear()

    # ------------------------------------------------------------------ stored spend

    def spend_queries(self, count_max: int, input_offset: int) -> list[SpendQuery]:
        """Begin up to ``count_max`` readings of stored spend, and return them.

        Args:
            count_max: the maximum number of readings.
            input_offset: offset of the last record that was applied.
        """
        return self._meters.begin_readings(count_max, input_offset, self._now_us)

    def spend_read(self, query: SpendQuery, result: SpendResult | None) -> None:
        """Apply the result of a reading; None: it failed, and is begun again later."""
        found = self._meters.period_of(query)
        if found is None:
            return
        meter, sums = found
        if result is None:
            meter.end_reading(sums)
            return
        before = dict(sums.spent)
        groups = meter.settle(sums, result)
        for limit in self._limits_of(meter):
            self._dirty_limits[limit.rule.budget.id, limit.rule.limit.name] = None
            for group in groups:
                limit.mark(sums, group)
                self._evaluate(limit, sums, group, before.get(group, 0))

    @property
    def is_complete(self) -> bool:
        """Return whether all spend of all periods is known."""
        return next(self._meters.incomplete(self._now_us), None) is None

    # ------------------------------------------------------------------ budgets

    def _rules_of(self, budget: Budget) -> list[LimitRule]:
        try:
            return rules_of(budget)
        except ValueError:
            self._context.limit_reached("budgets_not_evaluated", 1)
            return []

    def _put(self, budget: Budget, now_us: int) -> None:
        """Add or replace a budget; states of limits whose spend is the same are kept."""
        now_us = self._now_us = max(self._now_us, now_us)
        rules = {rule.limit.name: rule for rule in self._rules_of(budget)}
        before = self._limits.get(budget.id, {})
        same = {
            name for name, rule in rules.items()
            if name in before and before[name].rule.meter == rule.meter
        }  # fmt: skip
        self._remove(budget.id, same)
        for name, rule in rules.items():
            if name in same:
                limit = self._limits[budget.id][name]
                limit.rule = rule
            else:
                limit = self._add_limit(rule, now_us, is_known=False)
            for sums in limit.meter.periods.values():
                for group in sums.spent:
                    limit.mark(sums, group)
            self._evaluate_all(limit, now_us)

    def _add_limit(self, rule: LimitRule, now_us: int, *, is_known: bool) -> LimitGroups:
        meter = self._meters.get(rule.meter)
        if meter is None:
            meter = self._meters.create(rule.meter)
            if not is_known:
                self._begin(meter, rule.budget, now_us)
        tier_of = self._context.tiers.tier_of
        limit = LimitGroups(rule, meter, tier_of, self._send, self._is_sent)
        self._limits.setdefault(rule.budget.id, {})[rule.limit.name] = limit
        if not is_known:
            self._dirty_limits[rule.budget.id, rule.limit.name] = None
        return limit

    def _begin(self, meter: Meter, budget: Budget, now_us: int) -> None:
        """Begin with the current period, and the previous one if the budget is older than it."""
        start_us, end_us = meter.bounds(now_us)
        meter.period(start_us, end_us)
        horizon_us = max(now_us, self._meters.horizon_s(budget.project_id) * SECOND_US)
        if meter.rolling_us:
            meter.complete_from_us = horizon_us
        elif end_us < FOREVER_US:
            meter.complete_from_us = meter.bounds(horizon_us)[1]
            if budget.created_us < start_us:
                meter.period(*meter.bounds(start_us - 1))

    def _remove(self, budget_id: str, kept: set[str]) -> None:
        """Remove the limits of a budget but ``kept``, and their states."""
        limits = self._limits.get(budget_id, {})
        for name in [name for name in limits if name not in kept]:
            limit = limits.pop(name)
            self._version = max(self._version + 1, self._now_us)
            for sums in limit.meter.periods.values():
                self._removed += [
                    self._state(limit, sums, group, is_deleted=True) for group in sums.spent
                ]
            row = limit_row(limit.rule, limit.meter, self._now_us, self._version)
            self._removed.append(State(state_key(budget_id, name, 0, ""), row, is_deleted=True))
            self._meters.remove(limit.rule.meter)
        if not limits:
            self._limits.pop(budget_id, None)

    # ------------------------------------------------------------------ evaluation

    def _limits_of(self, meter: Meter) -> tuple[LimitGroups]:
        return (self._limits[meter.key.budget_id][meter.key.limit_name],)

    def _all_limits(self) -> Iterator[LimitGroups]:
        for limits in self._limits.values():
            yield from limits.values()

    def _evaluate_all(self, limit: LimitGroups, now_us: int, **details: Any) -> None:
        for sums in limit.meter.periods.values():
            for group in list(sums.spent):
                if limit.evaluate(sums, group, sums.spent[group], now_us, **details):
                    limit.mark(sums, group)

    def _evaluate(
        self, limit: LimitGroups, sums: PeriodSums, group: Group, before_pico: int, **details: Any
    ) -> None:
        """Evaluate a group; a limit that raises does not stop the others."""
        try:
            limit.evaluate(sums, group, before_pico, self._now_us, **details)
        except Exception:  # noqa: BLE001  # the other limits are still evaluated
            self._context.limit_reached("budgets_not_evaluated", 1)

    def _is_sent(self, alert: Alert) -> bool:
        return alert.id in self._alerted

    def _send(self, alert: Alert) -> None:
        if not self._is_sent(alert):
            self._alerted.add(alert.id)
            self._alerts.append(alert)

    def _state(
        self, limit: LimitGroups, sums: PeriodSums, group: Group, *, is_deleted: bool = False
    ) -> State:
        tier, limit_pico = limit.limit_of(group)
        row = group_row(
            limit.rule,
            limit.meter,
            sums,
            group,
            limit.flags.get(sums.start_us, {}).get(group) or GroupFlags(),
            tier=tier,
            trace_tier=limit.trace_tiers.get(group, ""),
            limit_pico=limit_pico,
            input_offset=self._offset,
            now_us=self._now_us,
            version=self._version,
        )
        key = state_key(row.budget_id, row.limit_name, row.period_start_us, row.group)
        return State(key, row, is_deleted)

    def _groups_of_user(self, limit: LimitGroups, sums: PeriodSums, user_id: str) -> list[Group]:
        if len(limit.rule.meter.group_by) == 1:
            return [(user_id,)] if (user_id,) in sums.spent else []
        return [group for group in sums.spent if limit.rule.user_of(group) == user_id]

    def _correct(self) -> None:
        """Take back thresholds that the spend is below for long enough."""
        for limit in self._all_limits():
            for start_us, group in limit.due_below(self._now_us - self._correction_delay_us):
                sums = limit.meter.periods[start_us]
                limit.mark(sums, group)
                self._evaluate(limit, sums, group, sums.spent.get(group, 0))

    def _expire(self) -> None:
        """Remove spend that has left rolling periods."""
        for meter in self._meters:
            for sums in meter.periods.values() if meter.rolling_us else ():
                for group in list(sums.panes):
                    before_pico = sums.spent[group]
                    if not meter.expire(sums, group, self._now_us):
                        continue
                    for limit in self._limits_of(meter):
                        limit.mark(sums, group)
                        self._evaluate(limit, sums, group, before_pico)

    def _sweep(self) -> None:
        """Remove periods that ended long ago, and further ones if there are too many groups."""
        settings = self._settings
        keep_us = settings.budget_periods_keep_days * 86_400 * SECOND_US
        too_many = self._meters.groups() - settings.budget_groups_max
        for end_us, meter, sums in self._meters.ended(self._now_us):
            if end_us < self._now_us - keep_us or too_many > 0:
                too_many -= len(sums.spent)
                self._forget(meter, sums)
        self._meters.is_full = too_many > 0
        if self._meters.ignored:
            self._context.limit_reached("budget_groups_max", self._meters.ignored)
            self._meters.ignored = 0
        if dropped := self._alerted.take_dropped():
            self._context.limit_reached("budget_alerts_max", dropped)

    def _forget(self, meter: Meter, sums: PeriodSums) -> None:
        self._version = max(self._version + 1, self._now_us)
        for limit in self._limits_of(meter):
            self._removed += [
                self._state(limit, sums, group, is_deleted=True) for group in sums.spent
            ]
            limit.forget(sums.start_us)
            self._dirty_limits[limit.rule.budget.id, limit.rule.limit.name] = None
        meter.forget(sums.start_us)
