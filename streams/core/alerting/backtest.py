"""Fold an alert rule over panes of the past, with the code that evaluates it on the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.alert import Alert
from streams.core.alerting.past_windows import PastWindows, earlier_sums
from streams.core.alerting.rules.calendar import bounds_s
from streams.core.alerting.rules.limits import RuleLimits
from streams.core.alerting.rules.measures import decimal_of
from streams.core.alerting.rules.panes import PANE_S, Group
from streams.core.alerting.rules.project import ProjectRules
from streams.core.alerting.rules.rule import SECOND_US, Rule
from streams.core.alerting.rules.score_changes import ScoreChange, ScoreDelta
from streams.core.rollups.deltas import Delta, SpendDelta, WindowDelta

SETTLE_PANES: Final = 3
"""Panes before the first window that are evaluated, but not reported."""
Point = tuple[int, Decimal | None]
"""Time in seconds, and the value of the window that ends then; None without data."""
PastScore = tuple[int, ScoreChange]
"""Time in µs, and the change that adds the score."""


@dataclass(slots=True)
class PastPane:
    """The stored changes of a pane of ten seconds or more."""

    start_s: int
    windows: list[WindowDelta] = field(default_factory=list)
    spend: list[SpendDelta] = field(default_factory=list)
    scores: list[PastScore] = field(default_factory=list)


@dataclass(slots=True)
class Backtest:
    """What a rule would have done.

    Attributes:
        alerts: alerts in the range, oldest first.
        before: the last alerts of the episodes that are open when the range begins.
        series: values by group.
        groups_left_out: groups for which there are no values, because there are too many.
        fault: why the rule cannot be evaluated; empty if it can.
    """

    alerts: list[Alert] = field(default_factory=list)
    before: list[Alert] = field(default_factory=list)
    series: dict[Group, list[Point]] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()
    groups_left_out: int = 0
    fault: str = ""


def first_needed_s(rule: AlertRule, from_s: int) -> int:
    """Return the start of the first pane that is needed to evaluate a rule from ``from_s`` on."""
    if rule.calendar:
        return bounds_s(rule.calendar, rule.time_zone, from_s)[0]
    return from_s - rule.window_s - SETTLE_PANES * PANE_S


def backtest(
    rule: AlertRule,
    panes: Iterable[PastPane],
    from_s: int,
    to_s: int,
    *,
    earlier: Iterable[tuple[int, WindowDelta]] = (),
    limits: RuleLimits,
    step_s: int,
    series_max: int,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Backtest:
    """Evaluate a rule from ``from_s`` to ``to_s``.

    Args:
        rule: the rule; it is treated as enabled, and as created before the range.
        panes: the panes from ``first_needed_s`` on, sorted by start.
        from_s: start of the range, in seconds since the epoch.
        to_s: end of the range, exclusive.
        earlier: the sums of ``earlier_sums`` that meet the rule's filter, with their starts.
        limits: limits of the evaluation.
        step_s: seconds between two values in ``series``.
        series_max: maximum number of groups in ``series``.
        is_cancelled: whether to give up; it is called for each pane.
    """
    at_s = first_needed_s(rule, from_s) // PANE_S * PANE_S
    fold = _Fold(rule, limits, at_s, from_s, step_s, series_max)
    fold.add_earlier(earlier)
    for pane in panes:
        start_s = max(at_s, pane.start_s // PANE_S * PANE_S)
        if start_s >= to_s or is_cancelled():
            break
        at_s = fold.pass_time(at_s, start_s)
        fold.apply(pane, start_s)
    fold.pass_time(at_s, to_s)
    return fold.found


class _Fold:
    def __init__(
        self,
        rule: AlertRule,
        limits: RuleLimits,
        start_s: int,
        from_s: int,
        step_s: int,
        series_max: int,
    ) -> None:
        self.found = Backtest()
        self._from_s = from_s
        self._step_s = step_s
        self._series_max = series_max
        self._next_s = from_s
        self._offset = 0
        past = {"created_us": 0, "updated_us": 0, "enabled": True}
        self._record = rule.model_copy(update=past)
        self._project = ProjectRules(rule.project_id, limits)
        self._project.put(self._record, (start_s - PANE_S) * SECOND_US, is_live=True)
        self._left_out: set[Group] = set()
        self._earlier: PastWindows | None = None
        self._note_rule()

    def add_earlier(self, changes: Iterable[tuple[int, WindowDelta]]) -> None:
        """Add what the rule compares with."""
        rule, needed = self._rule(), earlier_sums(self._record, 0, 0)
        if rule is not None and needed is not None:
            self._earlier = PastWindows(rule, needed.bucket_s)
            self._earlier.add(changes)

    def _note_rule(self) -> None:
        rule = self._rule()
        if rule is None:
            states = self._project.states.take_states()
            self.found.fault = next((each.row.reason for each in states), "unknown")  # type: ignore[attr-defined]  # rows of rules have a reason
        else:
            self.found.group_by = rule.group_by

    def _rule(self) -> Rule | None:
        return self._project.rules.get(self._record.id)

    def apply(self, pane: PastPane, start_s: int) -> None:
        """Apply the changes of a pane that begins at ``start_s``."""
        self._compare_with(start_s)
        for at_us, change in pane.scores:
            score_s = at_us // SECOND_US // PANE_S * PANE_S
            added = [(score_s, change)]  # the rule has one of both sources
            self._project.apply(ScoreDelta(added, added), at_us)
            self._project.flush()
        self._offset += 1
        delta = Delta(self._record.project_id, 0, self._offset, pane.windows, pane.spend)
        self._project.apply(delta, (start_s + PANE_S) * SECOND_US - 1)
        self._project.flush()
        self._take(start_s + PANE_S)

    def pass_time(self, at_s: int, to_s: int) -> int:
        """Evaluate what depends on time between two panes, and return the later one."""
        while at_s < to_s:
            self._compare_with(at_s)
            self._project.tick((at_s + PANE_S) * SECOND_US - 1)
            self._take(at_s + PANE_S)
            at_s += PANE_S
        return max(at_s, to_s)

    def _compare_with(self, start_s: int) -> None:
        """Update the earlier values that a pane is compared with."""
        if self._earlier is not None:
            self._earlier.refresh(start_s + PANE_S - 1)

    def _take(self, end_s: int) -> None:
        states = self._project.states
        for each in states.alerts:
            if each.created_us > self._from_s * SECOND_US:
                self.found.alerts.append(each)
                continue
            self.found.before = [it for it in self.found.before if it.episode != each.episode]
            if each.state != "resolved":
                self.found.before.append(each)
        states.alerts = []
        states.take_states()
        rule = self._rule()
        if rule is None or rule.series is None or end_s < self._next_s:
            return
        self._next_s = end_s - end_s % self._step_s + self._step_s
        groups = rule.series.groups or (((),) if not rule.group_by else ())
        for group in tuple(groups):
            self._point(rule, group, end_s)

    def _point(self, rule: Rule, group: Group, end_s: int) -> None:
        value = _value(rule, group, end_s)
        points = self.found.series.get(group)
        if points is None:
            if value is None:
                return
            if len(self.found.series) >= self._series_max:
                self._left_out.add(group)
                self.found.groups_left_out = len(self._left_out)
                return
            points = self.found.series[group] = []
        if value is not None or points[-1][1] is not None:
            points.append((end_s, value))


def _value(rule: Rule, group: Group, end_s: int) -> Decimal | None:
    series = rule.series
    assert series is not None
    if rule.is_silence:
        mine = series.groups.get(group)
        last_us = series.complete_from_s * SECOND_US if mine is None else mine.last_us
        return Decimal(max(0, end_s * SECOND_US - last_us)) / SECOND_US
    if rule.calendar is not None:
        window = rule.calendar
        ratio = rule.evaluate(group, window.sums(group), window.start_s, window.end_s).value
    else:
        assert rule.window is not None
        start_s = end_s - rule.record.window_s
        ratio = rule.evaluate(group, series.sums(group, rule.window), start_s, end_s).value
    return None if ratio is None else decimal_of(ratio)
