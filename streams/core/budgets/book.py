"""The budgets of the projects of one partition, as an evaluator of the alerting stage.

The limits of budgets are evaluated on the sums of meters (``streams.core.budgets.meters``), which
limits on the same spend share. Thresholds are compared after each delta, when all of its changes
are added: a change that moves spend from one cell to another does not cross a threshold in between.
What a delta produces does not depend on which other deltas are applied before the next flush.

``spend_queries`` returns the missing readings of stored spend; the stage passes their results to
``spend_read``. Until then, a period is incomplete: its spend is a lower bound, and a threshold that
it has reached is not taken back.
"""

from __future__ import annotations

from sys import intern
from typing import Any, Final

from producers.control.kinds.budget import Budget
from producers.control.periods import QUARTER_US
from producers.control.record import Change, Tombstone
from producers.notifications.alert import Alert
from producers.tiers.record import Tier
from streams.core.alerting.evaluator import EvaluatorContext, State
from streams.core.budgets.groups import LimitGroups, set_range
from streams.core.budgets.limit_set import LimitSet
from streams.core.budgets.limits import TIER_AT, Group, LimitRule, rules_of
from streams.core.budgets.meters import SECOND_US, Meter
from streams.core.budgets.notices import BUDGET
from streams.core.budgets.past_alerts import PastAlerts
from streams.core.budgets.pending_states import PendingStates
from streams.core.budgets.replay import LATEST_US, Replay, continue_from_alerts
from streams.core.budgets.restoring import RestoredStates
from streams.core.budgets.spend_meters import Changed
from streams.core.budgets.sums import PeriodSums, SpendQuery, SpendResult
from streams.core.budgets.writing import Position
from streams.core.rollups.deltas import Delta

MINUTE_US: Final = 60 * SECOND_US


class BudgetBook:
    """The evaluator (``streams.core.alerting.evaluator.Evaluator``)."""

    def __init__(self, context: EvaluatorContext) -> None:
        self._context = context
        self._settings = context.settings
        self._correction_delay_us = int(context.settings.budget_correction_delay_s * SECOND_US)
        self._budgets: dict[str, Budget] = {}
        retry_s = context.settings.budget_usual_retry_s
        self._limits = LimitSet(context.tiers.tier_of, self._send, retry_s)
        self._meters = self._limits.meters
        self.usual = self._limits.usual
        delay_max_us = int(context.settings.states_delay_max_s * SECOND_US)
        self._pending = PendingStates(self._limits, delay_max_us)
        self._alerts: list[Alert] = []
        self._alerted = PastAlerts(context.settings.budget_alerts_max)
        self._restored: RestoredStates | None = RestoredStates()
        self._now_us = 0
        self._offset = -1
        self._replay = Replay()
        self._unsettled: list[tuple[Meter, PeriodSums]] = []
        """Periods whose sums contain changes that are not applied yet."""
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

    def begins_after(self, offset: int) -> None:
        """Note that all states contain the deltas up to this offset."""
        self._offset = self._meters.position = offset
        if self._restored is not None:
            self._restored.checkpoint = offset

    def restore(self, key: str, value: bytes) -> None:
        """Keep a state until ``restored``."""
        assert self._restored is not None
        self._restored.add(key, value)
        self._replay.after_us = max(0, self._restored.written_us - LATEST_US)

    def restore_alert(self, alert: Alert) -> None:
        """Remember the id of an alert, which is not sent again."""
        if alert.rule_kind == BUDGET:
            self._alerted.add(alert.id)
            self._replay.add(alert)

    def restored(self, now_us: int) -> None:
        """Create the meters, with their restored states."""
        states, self._restored = self._restored, None
        assert states is not None
        self._now_us, self._pending.version = now_us, states.version
        if len(self._alerted):
            self._replay.ends_us = now_us
        new: list[LimitRule] = []
        for budget in self._budgets.values():
            for rule in self._rules_of(budget):
                if states.has(rule):
                    self._limits.attach(rule)
                else:
                    new.append(rule)
        for meter in self._meters:
            states.load(meter)
            meter.assign_all()
        for rule in new:
            self._add_limit(rule)
        self._pending.add_removed(states.stale(now_us))
        self._evaluate_all()

    def tier_changed(self, tier: Tier, now_us: int) -> None:
        """Evaluate the groups of a user whose tier has changed."""
        if self._restored is not None:
            return
        self._now_us = max(self._now_us, now_us)
        for limit, sums, group in self._limits.with_tier_of(tier):
            limit.mark(sums, group)
            self._evaluate(limit, sums, group, sums.spent_of(group))

    def events_deferred(self, *, is_partial: bool) -> None:
        """Mark the limits, and their alerts from now on, as incomplete, or not any more."""
        if is_partial != self._limits.is_partial:
            self._limits.is_partial = is_partial
            for limit in self._limits:
                self._pending.mark(limit)

    def apply(self, delta: Delta, offset: int, now_us: int) -> None:
        """Add the changes of spend, then evaluate the groups that have changed."""
        self._now_us = max(self._now_us, now_us)
        self._release(offset - 1, now_us)
        self._offset = offset
        changes = self._meters.add(delta, offset)
        if self._meters.joined:
            self._join()
        for each in changes:
            self._evaluate_change(each)

    def _evaluate_change(self, change: Changed) -> None:
        """Evaluate a group, if its spend has left the range in which nothing changes."""
        sums, group, total = change.sums, change.group, change.total
        if change.meter.rolling_us:
            change.meter.expire(total, self._now_us)
        if len(sums.recorded) > self._settings.budget_recorded_changes_max:
            self._context.limit_reached("budget_recorded_changes_max", 1)
            sums.end_reading()
        if TIER_AT is not None and sums.tiered and change.key[TIER_AT]:
            for limit in sums.tiered:
                limit.trace_tiers[group] = intern(change.key[TIER_AT])
            total.forget_range()
        limits = sums.limits
        if total.low_pico <= total.spent_pico < total.high_pico:
            limits = sums.eager
        for limit in limits:
            self._evaluate(
                limit, sums, group, change.before_pico, added_pico=change.added_pico,
                is_lowered=change.is_lowered, correction_delay_us=self._correction_delay_us,
            )  # fmt: skip
        reached = total.reached
        if limits is sums.limits and not self._waits(sums):
            set_range(sums, group)
        if total.is_close or total.reached != reached:
            sums.urgent.add(group)

    def tick(self, now_us: int) -> None:
        """Take back thresholds, remove spend of rolling periods, and forget old periods."""
        self._now_us = max(self._now_us, now_us)
        self._release(self._offset, now_us)
        self._correct()
        for budget_id in self.usual.take_new():
            for limit in self._limits.of_budget(budget_id).values():
                self._evaluate_limit(limit)
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

    def take_states(self, count_max: int | None = None) -> list[State]:
        """Return states that have changed; those of up to ``count_max`` groups that can wait."""
        return self._pending.take(count_max, self._offset, self._now_us)

    @property
    def written_to(self) -> int | None:
        """Return the offset up to which states contain all changes; None: they contain all."""
        return self._pending.written_to

    def _position(self) -> Position:
        return self._pending.next_position(self._offset, self._now_us)

    def _release(self, applied_to: int, now_us: int) -> None:
        """Evaluate what has waited for the deltas up to an offset, or for the end of a replay."""
        if self._unsettled:
            self._end_unsettled(applied_to)
        if self._replay.ends_us and now_us >= self._replay.ends_us:
            for limit in self._limits:
                for sums in limit.periods():
                    for group in self._replay.groups_of(limit, sums):
                        continue_from_alerts(limit, sums, group, self._alerted)
                        limit.mark(sums, group)
            self._replay.end()
            self._evaluate_all()

    def _end_unsettled(self, applied_to: int) -> None:
        """Evaluate periods whose sums have caught up with the stored spend."""
        waiting, self._unsettled = self._unsettled, []
        for meter, sums in waiting:
            if sums.newer and applied_to < max(sums.newer.values()):
                self._unsettled.append((meter, sums))
                continue
            sums.newer = {}
            before, sums.before = sums.before, {}
            sums.all_changed(self._meters.position)
            for limit in meter.limits:
                self._pending.mark(limit)
            for limit in sums.limits:
                for group in sums.groups:
                    self._evaluate(limit, sums, group, before.get(group, 0))

    def _join(self) -> None:
        """Include periods that have changed in the limits that were created after them."""
        joined, self._meters.joined = self._meters.joined, {}
        for meter, sums in joined.values():
            limits = sums.others
            for limit in limits:
                limit.excluded.discard(sums.start_us)
                self._pending.mark(limit)
            meter.assign(sums)
            for limit in limits:
                self._mark_and_evaluate(limit, sums)

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
            sums.end_reading()
            return
        meter.settle(sums, result, self._meters.position)
        self._unsettled.append((meter, sums))
        self._end_unsettled(self._offset)

    @property
    def is_complete(self) -> bool:
        """Return whether all spend of all periods is known."""
        return next(self._meters.incomplete(self._now_us), None) is None

    def _rules_of(self, budget: Budget) -> list[LimitRule]:
        try:
            return rules_of(budget)
        except ValueError:
            self._context.limit_reached("budgets_not_evaluated", 1)
            return []

    def _put(self, budget: Budget, now_us: int) -> None:
        """Add or replace a budget; states of limits whose spend is the same are kept."""
        self._now_us = max(self._now_us, now_us)
        rules = {rule.limit.name: rule for rule in self._rules_of(budget)}
        before = self._limits.of_budget(budget.id)
        same = {
            name for name, rule in rules.items()
            if name in before and before[name].rule.meter == rule.meter
        }  # fmt: skip
        self._remove(budget.id, same)
        for name, rule in rules.items():
            limit = self._limits.get(budget.id, name)
            if limit is None:
                self._add_limit(rule)
                continue
            limit.rule = rule
            limit.meter.assign_all()
            for sums in limit.periods():
                self._mark_and_evaluate(limit, sums)

    def _add_limit(self, rule: LimitRule) -> None:
        limit = self._limits.add(rule, self._now_us)
        self._pending.mark(limit)
        for sums in limit.periods():
            self._mark_and_evaluate(limit, sums)

    def _remove(self, budget_id: str, kept: set[str]) -> None:
        """Remove the limits of a budget but ``kept``, and their states."""
        for name, limit in list(self._limits.of_budget(budget_id).items()):
            if name in kept:
                continue
            at = self._position()
            for sums in limit.periods():
                self._pending.remove_groups(limit, sums, at)
            self._pending.remove_limit(limit, at)
            self._limits.remove(limit)

    def _evaluate_all(self) -> None:
        for limit in self._limits:
            self._evaluate_limit(limit, correction_delay_us=self._correction_delay_us)

    def _evaluate_limit(self, limit: LimitGroups, **details: Any) -> None:
        for sums in limit.periods():
            for group in sums.groups:
                self._evaluate(limit, sums, group, sums.spent_of(group), **details)

    def _mark_and_evaluate(self, limit: LimitGroups, sums: PeriodSums) -> None:
        for group in sums.groups:
            limit.mark(sums, group)
            self._evaluate(limit, sums, group, sums.spent_of(group))

    def _evaluate(
        self, limit: LimitGroups, sums: PeriodSums, group: Group, before_pico: int, **details: Any
    ) -> None:
        """Evaluate a group unless it waits; a limit that raises does not stop the others."""
        if self._waits(sums):
            return
        try:
            details["is_partial"] = bool(self._limits.is_partial)
            if limit.evaluate(sums, group, before_pico, self._now_us, **details):
                limit.mark(sums, group)
        except Exception:  # noqa: BLE001  # the other limits are still evaluated
            self._context.limit_reached("budgets_not_evaluated", 1)
        sums.groups[group].forget_range()

    def _correct(self) -> None:
        """Take back thresholds that the spend is below for long enough."""
        for limit in self._limits:
            for start_us, group in limit.due_below(self._now_us - self._correction_delay_us):
                sums = limit.meter.periods[start_us]
                limit.mark(sums, group)
                self._evaluate(limit, sums, group, sums.spent_of(group))

    def _waits(self, sums: PeriodSums) -> bool:
        """Return whether a period is not evaluated yet."""
        return bool(self._replay.ends_us or sums.newer)

    def _send(self, alert: Alert) -> None:
        if alert.id not in self._alerted:
            self._alerted.add(alert.id)
            self._alerts.append(alert)

    def _expire(self) -> None:
        """Remove spend that has left rolling periods."""
        for meter in self._meters:
            for sums in meter.periods.values() if meter.rolling_us else ():
                for group, total in sums.groups.items():
                    before_pico = total.spent_pico
                    if meter.expire(total, self._now_us):
                        sums.changed(group, total, self._meters.position)
                        for limit in sums.limits:
                            self._evaluate(limit, sums, group, before_pico)

    def _sweep(self) -> None:
        """Remove periods that ended long ago, and further ones if there are too many groups."""
        settings = self._settings
        keep_us = settings.budget_periods_keep_days * 86_400 * SECOND_US
        for meter, sums in self._meters.outdated(self._now_us, keep_us, settings.budget_groups_max):
            self._forget(meter, sums)
        if dropped := self._alerted.take_dropped():
            self._context.limit_reached("budget_alerts_max", dropped)
        if self._meters.ignored:
            self._context.limit_reached("budget_groups_max", self._meters.ignored)
            self._meters.ignored = 0

    def _forget(self, meter: Meter, sums: PeriodSums) -> None:
        at = self._position()
        for limit in sums.limits:
            self._pending.remove_groups(limit, sums, at)
        for limit in meter.limits:
            limit.forget(sums.start_us)
            self._pending.mark(limit)
        meter.forget(sums.start_us)
