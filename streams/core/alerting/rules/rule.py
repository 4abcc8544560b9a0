"""Evaluate one alert rule on the sums of its series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from producers.alerting.metric import SCORE_SOURCES, Metric
from producers.alerting.registry import METRICS, Metrics
from producers.control.kinds.alert_rule import AlertRule
from streams.core.alerting.rules.calendar import CalendarWindow
from streams.core.alerting.rules.earlier import Earlier
from streams.core.alerting.rules.machine import (
    IDLE,
    PENDING,
    RECOVERING,
    Condition,
    GroupState,
    Timing,
)
from streams.core.alerting.rules.measures import Plan, Ratio, Threshold, decimal_of, plan_of
from streams.core.alerting.rules.panes import Group, Pane
from streams.core.alerting.rules.series import Series, SeriesKey

SECOND_US: Final = 1_000_000


@dataclass(slots=True)
class Evaluated:
    """What an evaluation found."""

    condition: Condition
    value: Ratio | None
    is_incomplete: bool


@dataclass(slots=True)
class Rule:
    """A rule with its series and the states of its groups.

    Attributes:
        window: index of its window in the series; None if ``calendar`` is set.
        is_immediate: whether more data can only raise the value, so that the rule can become true
            before its window ends, and although earlier data are missing.
        is_prompt: whether each change is evaluated, although the value can fall again.
    """

    record: AlertRule
    metric: Metric
    plan: Plan
    key: SeriesKey
    group_by: tuple[str, ...]
    threshold: Threshold
    recovery: Threshold
    timing: Timing
    is_immediate: bool
    is_prompt: bool = False
    series: Series | None = None
    window: int | None = None
    calendar: CalendarWindow | None = None
    earlier: Earlier | None = None
    groups: dict[Group, GroupState] = field(default_factory=dict)
    is_behind: bool = False
    """Whether evaluations were left out, so that all groups are evaluated next."""
    active: set[Group] = field(default_factory=set)
    """Groups in a state that time alone can change."""

    @property
    def evaluates_changes(self) -> bool:
        """Return whether the current window is evaluated with each change."""
        return self.is_immediate or self.is_prompt

    @property
    def is_silence(self) -> bool:
        return self.metric.aggregate == "silence"

    def next_timer_s(self) -> int | None:
        """Return when the first duration of a state ends: ``for`` or ``keep_firing_for``."""
        durations_us = {PENDING: self.timing.for_us, RECOVERING: self.timing.keep_us}
        ends_us = (
            state.since_us + durations_us[state.state]
            for state in map(self.groups.__getitem__, self.active)
            if state.state in durations_us
        )
        end_us = min(ends_us, default=None)
        return None if end_us is None else -(-end_us // SECOND_US)

    def is_in_force(self, now_us: int) -> bool:
        """Return whether the rule existed in this form at a time of the log.

        Otherwise, a restart would evaluate it on deltas that were evaluated without it.
        """
        if now_us >= max(self.record.created_us, self.record.updated_us):
            return True
        self.is_behind = True
        return False

    def has_same_data(self, other: Rule) -> bool:
        """Return whether another version of the rule compares the same sums."""
        return self.key == other.key and self.record.metric == other.record.metric

    def group_json(self, group: Group) -> str:
        """Return a group as a JSON object with sorted names."""
        return group_json(self.group_by, group)

    def state_of(self, group: Group) -> GroupState:
        """Return the state of a group, which is added if there is none."""
        found = self.groups.get(group)
        if found is None:
            found = self.groups[group] = GroupState()
        return found

    def note_state(self, group: Group) -> None:
        """Keep ``active`` up to date, after the state of a group may have changed."""
        if self.groups[group].state in IDLE:
            self.active.discard(group)
        else:
            self.active.add(group)

    def evaluate(self, group: Group, pane: Pane, start_s: int, end_s: int) -> Evaluated:
        """Evaluate the sums of a group's window from ``start_s`` to ``end_s``."""
        series = self.series
        is_incomplete = series is None or series.is_waiting or start_s < series.complete_from_s
        observations = pane.sums[0]
        value = self.plan.value(pane.sums, pane.bins, end_s - start_s)
        if observations <= 0 and self.timing.no_data != "ok":
            value = None
        if self.earlier is not None:
            is_incomplete = is_incomplete or not self.earlier.is_known(end_s)
            value = None if value is None else self.earlier.relative(group, value)
        if value is None:
            condition = Condition.NO_DATA
        elif observations < self.record.min_count:
            condition = Condition.CLEAR
        elif self.threshold.is_met(value):
            condition = Condition.MET
        else:
            condition = Condition.HELD if self.recovery.is_met(value) else Condition.CLEAR
        if is_incomplete and not (condition is Condition.MET and self.is_immediate):
            condition = Condition.UNKNOWN
        is_truncated = series is not None and series.is_truncated
        return Evaluated(condition, value, is_incomplete or is_truncated)

    def apply_to(self, group: GroupState, found: Evaluated, start_s: int, end_s: int) -> None:
        """Store the evaluated value and window in the state of a group."""
        group.value = None if found.value is None else decimal_of(found.value)
        group.window_us = (start_s * SECOND_US, end_s * SECOND_US)
        group.is_incomplete = found.is_incomplete

    def due_groups(self, touched: Iterable[Group]) -> Iterator[Group]:
        """Yield the groups to evaluate at the end of a pane."""
        if self.is_behind and self.series is not None:
            self.is_behind, touched = False, {*touched, *self.series.groups}
        yield from {*touched, *self.active, *(((),) if not self.group_by else ())}


def rule_of(record: AlertRule, metrics: Metrics = METRICS) -> Rule:
    """Return a rule without a series.

    Raises:
        KeyError: the metric does not exist.
        NotComputable, ValueError: the rule cannot be evaluated.
    """
    metric = metrics[record.metric]
    plan = plan_of(record, metric)
    group_by = tuple(sorted({*record.group_by, *metric.group}))
    dimensions = {
        name: tuple(sorted(set(values)))
        for name, values in record.filter.items()
        if name not in metric.filters
    }
    earlier = Earlier.of(record)
    rising = record.comparison in {">", ">="}
    return Rule(
        record=record,
        metric=metric,
        plan=plan,
        key=SeriesKey(
            plan.source,
            tuple(sorted(dimensions.items())),
            group_by,
            plan.measures,
            plan.bins,
            0 if record.calendar else record.window_s,
            record.calendar,
            record.time_zone if record.calendar else "",
        ),
        group_by=group_by,
        threshold=Threshold.of(record.comparison, record.threshold_value),
        recovery=Threshold.of(record.comparison, record.recovery_value),
        timing=Timing(
            record.for_s * SECOND_US, record.keep_firing_for_s * SECOND_US, record.no_data
        ),
        is_immediate=metric.only_grows and rising and earlier is None,
        is_prompt=plan.source in SCORE_SOURCES,
        earlier=earlier,
    )


def group_json(names: tuple[str, ...], group: Group) -> str:
    """Return a group as a JSON object with sorted names, without spaces."""
    values = dict(zip(names, group, strict=True))
    return msgspec.json.encode(values, order="sorted").decode()


def group_of_json(names: tuple[str, ...], text: str) -> Group | None:
    """Return the group of a JSON object; None if it has other names."""
    try:
        values = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        return None
    return tuple(values[name] for name in names) if values.keys() == {*names} else None
