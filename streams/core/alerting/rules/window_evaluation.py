"""Evaluate a rule on the windows of its series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.core.alerting.rules.event_clock import EventClock
from streams.core.alerting.rules.machine import OPEN, Condition
from streams.core.alerting.rules.panes import PANE_S, Group
from streams.core.alerting.rules.rule import SECOND_US, Evaluated, Rule
from streams.core.alerting.rules.states import RuleStates


@dataclass(frozen=True, slots=True)
class WindowEvaluation:
    """The evaluation of the rules of a project, whose states and clock it shares."""

    states: RuleStates
    clock: EventClock

    def changed(self, rule: Rule, groups: Iterable[Group]) -> None:
        """Evaluate the current window of groups that changed, and past windows."""
        for group in rule.due_groups(groups) if rule.is_behind else groups:
            self._now(rule, group)
        self._late(rule, self.clock.current_s + PANE_S)

    def everything(self, rule: Rule) -> None:
        """Evaluate the current window of all groups."""
        groups = () if rule.series is None else tuple(rule.series.groups)
        for group in {*groups, *(((),) if not rule.group_by else ())}:
            self._now(rule, group)

    def ended(self, rule: Rule, end_s: int) -> None:
        """Evaluate the window of a rule that ends at ``end_s``, for the groups that changed."""
        series, window = rule.series, rule.window
        if series is None or window is None or rule.is_silence:
            return
        start_s = end_s - rule.record.window_s
        for group in rule.due_groups(series.windows[window].touched):
            found = rule.evaluate(group, series.sums(group, window), start_s, end_s)
            self.states.evaluate(rule, group, found, (start_s, end_s), end_s * SECOND_US, end_s)
        self._late(rule, end_s)

    def _late(self, rule: Rule, pane_end_s: int) -> None:
        """Evaluate past windows that late changes belong to; they can only begin an episode."""
        series, window = rule.series, rule.window
        if series is None or window is None:
            return
        length_s = rule.record.window_s
        for start_s, group in series.windows[window].late:
            found = rule.evaluate(
                group, series.sum_of(group, start_s, length_s), start_s, start_s + length_s
            )
            if found.condition is Condition.MET:
                window_s = (start_s, start_s + length_s)
                at_us = self.clock.event_us(self.states.now_us)
                self.states.evaluate(rule, group, found, window_s, at_us, pane_end_s)

    def _now(self, rule: Rule, group: Group) -> None:
        """Evaluate the current window, which has not ended: only a met condition counts."""
        series, current_s = rule.series, self.clock.current_s
        if series is None or rule.is_silence:
            return
        at_us = self.clock.event_us(self.states.now_us)
        if rule.calendar is not None:
            start_s, end_s = rule.calendar.start_s, rule.calendar.end_s
            found = rule.evaluate(group, rule.calendar.sums(group), start_s, end_s)
            self.states.evaluate(rule, group, found, (start_s, end_s), at_us, current_s + PANE_S)
        elif rule.window is not None:
            end_s = current_s + PANE_S
            start_s = end_s - rule.record.window_s
            found = rule.evaluate(group, series.sums(group, rule.window), start_s, end_s)
            if not (rule.evaluates_changes and found.condition is Condition.MET):
                return
            self.states.evaluate(rule, group, found, (start_s, end_s), at_us, current_s + PANE_S)

    def calendar(self, rule: Rule, at_s: int) -> None:
        """Evaluate the period of a calendar window, for the groups that changed."""
        window = rule.calendar
        assert window is not None
        for group in rule.due_groups(window.touched):
            found = rule.evaluate(group, window.sums(group), window.start_s, window.end_s)
            self.states.evaluate(
                rule, group, found, (window.start_s, window.end_s), at_s * SECOND_US, at_s + PANE_S
            )
        window.touched.clear()

    def silence(self, rule: Rule, now_us: int) -> None:
        """Compare the time since the last observation arrived with the threshold."""
        series = rule.series
        if series is None:
            return
        complete_us = series.complete_from_s * SECOND_US
        for group in {*series.groups, *rule.active, *(((),) if not rule.group_by else ())}:
            mine = series.groups.get(group)
            last_us = 0 if mine is None else mine.last_us
            value = (max(0, now_us - max(last_us, complete_us)), SECOND_US)
            is_met = rule.threshold.is_met(value)
            condition = Condition.MET if is_met else Condition.CLEAR
            if not is_met and rule.recovery.is_met(value):
                condition = Condition.HELD
            is_incomplete = not last_us and not is_met
            if is_incomplete:
                condition = Condition.UNKNOWN
            # Without an observation, the time is that of the memory, so a lower bound.
            found = Evaluated(condition, value, not last_us)
            end_s = now_us // SECOND_US
            known = rule.groups.get(group)
            if known is not None and known.condition is condition and not is_met:
                continue
            window_s = (max(last_us, complete_us) // SECOND_US, end_s)
            if known is not None and known.state in OPEN and is_met:
                continue
            self.states.evaluate(rule, group, found, window_s, now_us, end_s)
