"""Evaluate the rules of one project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from producers.alerting.metric import SCORE_SOURCES, Source
from producers.alerting.registry import METRICS, Metrics
from producers.control.kinds.alert_rule import AlertRule
from streams.core.alerting.evaluator import History
from streams.core.alerting.rules.calendar import CalendarWindow, bounds_s
from streams.core.alerting.rules.event_clock import PANE_US, EventClock
from streams.core.alerting.rules.index import RuleSource
from streams.core.alerting.rules.limits import Counts, RuleLimits
from streams.core.alerting.rules.machine import OPEN
from streams.core.alerting.rules.measures import NotComputable
from streams.core.alerting.rules.panes import PANE_S, Group
from streams.core.alerting.rules.rows import MergedRow, changes_of
from streams.core.alerting.rules.rule import SECOND_US, Rule, rule_of
from streams.core.alerting.rules.score_changes import ScoreDelta
from streams.core.alerting.rules.series import Series, SeriesKey
from streams.core.alerting.rules.skipped_panes import ends_s
from streams.core.alerting.rules.states import RuleStates
from streams.core.alerting.rules.window_evaluation import WindowEvaluation
from streams.core.rollups.deltas import Delta

SOURCES: Final[tuple[Source, ...]] = ("windows", "spend", "scores", "scored_calls")
OLDER_ROWS_MAX: Final = 5_000
"""Merged rows of older deltas that are added to the series together."""
FORGET_PANES: Final = 60
"""Number of slides after which groups without data are forgotten."""


class ProjectRules:
    """The rules of a project, with their series and the clock of its events."""

    def __init__(self, project_id: str, limits: RuleLimits, metrics: Metrics = METRICS) -> None:
        self.project_id = project_id
        self.rules: dict[str, Rule] = {}
        self.states = RuleStates()
        self.counts = Counts()
        self.series: dict[SeriesKey, Series] = {}
        self.applied_to = -1
        """Offset of the last record of ``deltas`` that was applied, of any project."""
        self._limits = limits
        self._metrics = metrics
        self._faulty: dict[str, AlertRule] = {}
        self._clock = EventClock()
        self._sources: dict[str, RuleSource] = {}
        self._evaluation = WindowEvaluation(self.states, self._clock)
        self._slides = 0
        self._log_us = 0
        """Time that the log has reached."""
        self._without_history: set[SeriesKey] = set()
        self._reading: set[SeriesKey] = set()
        """Series for which older deltas are being read."""
        self._older_of: set[SeriesKey] = set()

    @property
    def is_empty(self) -> bool:
        return not self.rules and not self._faulty

    def is_faulty(self, rule_id: str) -> bool:
        """Return whether a rule cannot be evaluated."""
        return rule_id in self._faulty

    # Rules

    def put(self, record: AlertRule, now_us: int, *, is_live: bool) -> None:
        """Add or replace a rule; a change of what it adds up ends its episodes.

        Until older deltas are read, the rule is complete from the next pane on.

        Args:
            record: the rule.
            now_us: the time.
            is_live: whether deltas are applied, so that event time can begin with ``now_us``.
        """
        self.states.now_us = max(self.states.now_us, now_us)
        self.flush()
        if is_live and not self._clock.current_s:
            self._clock.moved_to(self._clock.idle_pane_s(now_us), now_us)
        complete_from_s = now_us // SECOND_US // PANE_S * PANE_S + PANE_S
        old = self.rules.get(record.id)
        if old is not None and old.record == record:
            return
        try:
            if not record.enabled:
                self.remove(record.id, "the rule was disabled")
                return
            new = rule_of(record, self._metrics)
            if old is not None and not old.has_same_data(new):
                self.remove(record.id, "the rule was changed")
                old = None
            self._attach(new, complete_from_s)
        except (KeyError, ValueError, NotComputable) as error:
            self.remove(record.id, "the rule cannot be evaluated")
            self.set_aside(record, error)
            return
        if old is not None:
            new.groups, new.active = old.groups, old.active
            new.is_behind = True  # groups without further events may meet the new condition
        self._begin(new)

    def _begin(self, new: Rule) -> None:
        record = new.record
        self.rules[record.id] = new
        was_faulty = self._faulty.pop(record.id, None) is not None
        if was_faulty:
            self.states.remove_error(record)
        if not new.group_by and was_faulty:
            self.states.begin(new)
        elif not new.group_by:
            new.state_of(())
        for group in new.groups:
            self.states.mark(new, group)

    def set_aside(self, record: AlertRule, error: Exception) -> None:
        """Stop evaluating a rule that raised, until it changes; its state names the error."""
        rule = self.rules.pop(record.id, None)
        if rule is not None:
            self.states.close(rule, "the rule cannot be evaluated")
        self._faulty[record.id] = record
        self.states.fail(record, f"{type(error).__name__}: {error}"[:300])
        self._rebuild()

    def remove(self, rule_id: str, reason: str = "the rule was deleted") -> None:
        """Remove a rule, and resolve its episodes."""
        self.flush()
        faulty = self._faulty.pop(rule_id, None)
        if faulty is not None:
            self.states.remove_error(faulty)
        rule = self.rules.pop(rule_id, None)
        if rule is not None:
            self.states.close(rule, reason)
            self._rebuild()

    def _attach(self, rule: Rule, complete_from_s: int) -> None:
        limits = self._limits
        series = self.series.get(rule.key)
        if series is None:
            series = Series(
                rule.key,
                late_max_s=limits.late_max_s,
                groups_max=limits.groups_max,
                quota=limits.quota,
            )
            series.complete_from_s = complete_from_s
            series.applied_to = self.applied_to
            record = rule.record
            if record.calendar:
                series.calendars.append(
                    CalendarWindow(record.calendar, record.time_zone, len(rule.key.measures))
                )
            else:
                series.window(record.window_s)
            series.slide(self._clock.current_s)
            self.series[rule.key] = series
            if rule.key.source not in SCORE_SOURCES:  # deltas do not contain scores
                self._without_history.add(rule.key)
        rule.series = series
        rule.calendar = series.calendars[0] if series.calendars else None
        rule.window = None if series.calendars else 0
        self._rebuild([rule])

    def _rebuild(self, more: Iterable[Rule] = ()) -> None:
        """Index the series of the rules; drop those without rules."""
        self._flush_older()
        rules = {**self.rules, **{rule.record.id: rule for rule in more}}.values()
        self._sources = {}
        used = {rule.key: rule for rule in rules}
        for key in [key for key in self.series if key not in used]:
            self.series.pop(key).close()
        for source in SOURCES:
            keys = [key for key in used if key.source == source]
            if not keys:
                continue
            found = self._sources[source] = RuleSource.of(source, keys)
            for key in keys:
                found.index.attach(self.series[key], used[key].plan.numerators)

    # Deltas

    def apply(self, delta: Delta | ScoreDelta, now_us: int) -> None:
        """Gather the changes of a delta; if it begins a new pane, evaluate the ended ones."""
        clock = self._clock
        self._log_us = max(self._log_us, now_us)
        self.states.now_us = max(self.states.now_us, now_us)
        postponed: list[tuple[RuleSource, int, Any]] = []
        latest_s = max(
            (clock.bounded_s(change.window_s, now_us) for change in delta.windows), default=0
        )
        for name, source in self._sources.items():
            for sent_s, change in changes_of(name, delta):
                start_s = clock.bounded_s(sent_s, now_us)
                self.counts.ahead += start_s < sent_s // PANE_S * PANE_S
                if start_s > clock.current_s or not clock.current_s:
                    postponed.append((source, start_s, change))
                else:
                    source.merger.add(start_s, change, now_us)
        latest_s = max([latest_s, *(start_s for _, start_s, _ in postponed)])
        if not clock.current_s:
            latest_s = latest_s or clock.idle_pane_s(now_us)
        if latest_s > clock.current_s:
            self.flush()
            self._slide(latest_s)
            clock.moved_to(latest_s, now_us)
            for source, start_s, change in postponed:
                source.merger.add(start_s, change, now_us)

    def begins_after(self, offset: int) -> None:
        """Note that older deltas must be read up to ``offset``."""
        self.applied_to = offset
        for series in self.series.values():
            series.applied_to = offset

    def begin_history(self, now_us: int) -> History | None:
        """Return the deltas that new series need, if there are any (``ReadsHistory``).

        Before event time has begun, with the first tick, it is not known which windows they are in.
        """
        if not self._clock.current_s:
            return None
        self._reading = {key for key in self._without_history if key in self.series}
        self._without_history.clear()
        if not self._reading:
            return None
        from_s = min(self._needed_from_s(key, now_us) for key in self._reading)
        to_offset = max(self.series[key].applied_to for key in self._reading) + 1
        return History(from_s * SECOND_US, to_offset)

    def _needed_from_s(self, key: SeriesKey, now_us: int) -> int:
        pane_s = min(self._clock.current_s or now_us // SECOND_US, now_us // SECOND_US)
        if key.calendar:
            return bounds_s(key.calendar, key.time_zone, pane_s)[0]
        return pane_s - key.window_s - self._limits.late_max_s - PANE_S

    def apply_history(self, delta: Delta, offset: int, append_us: int) -> None:
        """Add a delta that was applied before some series existed, to these series."""
        wanted = {key for key in self._reading if self._needs(key, offset)}
        if not wanted:
            return
        if wanted != self._older_of:
            self._flush_older()
            self._older_of = wanted
        for name, source in self._sources.items():
            for start_s, change in changes_of(name, delta):
                source.older.add(self._clock.bounded_s(start_s, append_us), change, append_us)
            if len(source.older) >= OLDER_ROWS_MAX:
                self._flush_older()

    def _flush_older(self) -> None:
        """Add what was read again to the series that need it."""
        for source in self._sources.values():
            self._add_older(source, self._older_of)

    def _add_older(self, source: RuleSource, keys: set[SeriesKey]) -> None:
        rows = source.older.take()
        latest_s = max((start_s for start_s, _ in rows), default=0)
        if latest_s > self._clock.current_s:  # event time had been there before a restart
            self.flush()
            self._slide(latest_s)
            self._clock.moved_to(latest_s, max(row.append_us for _, row in rows))
        self._add(source, rows, {}, keys)

    def add_older_scores(self, key: SeriesKey, delta: ScoreDelta, append_us: int) -> None:
        """Add the scores that were applied before a series existed."""
        source = self._sources[key.source]
        for start_s, change in changes_of(key.source, delta):
            source.older.add(self._clock.bounded_s(start_s, append_us), change, append_us)
        self._add_older(source, {key})

    def _needs(self, key: SeriesKey, offset: int) -> bool:
        series = self.series.get(key)
        return series is not None and offset <= series.applied_to

    def history_read(self, from_us: int, *, is_last: bool) -> None:
        """Evaluate the series that are complete from ``from_us`` on."""
        self._flush_older()
        wanted, complete_from_s = set(self._reading), -(-from_us // PANE_US) * PANE_S
        if is_last:
            self._reading.clear()
        self.completed(wanted, complete_from_s)

    def completed(self, wanted: set[SeriesKey], complete_from_s: int) -> None:
        """Evaluate the series that are complete from a pane on."""
        for series in [self.series[key] for key in wanted if key in self.series]:
            series.complete_from_s = min(series.complete_from_s, complete_from_s)
            for window in series.windows:
                window.touched |= series.groups.keys()
        for rule in tuple(self.rules.values()):
            if rule.key in wanted:
                self._attempt(rule, self._evaluation.everything)

    def flush(self) -> None:
        """Add what was gathered to the series, and evaluate the rules that need not wait."""
        changed: dict[SeriesKey, set[Group]] = {}
        for source in self._sources.values():
            if source.merger:
                self._add(source, source.merger.take(), changed)
        if not changed:
            return
        for rule in tuple(self.rules.values()):
            if rule.evaluates_changes and rule.key in changed:
                self._attempt(rule, self._evaluation.changed, changed[rule.key])

    def _add(
        self,
        source: RuleSource,
        rows: Iterable[tuple[int, MergedRow]],
        changed: dict[SeriesKey, set[Group]],
        history_of: set[SeriesKey] | None = None,
    ) -> None:
        """Add rows to the series; note the groups that change."""
        for start_s, row in rows:
            source.index.gather(start_s, row)
        for bundle in source.index.bundles.values():
            for (start_s, group), gathered in bundle.take().items():
                for series in bundle.series:
                    if history_of is not None and series.key not in history_of:
                        continue
                    series.add(
                        start_s,
                        group,
                        gathered.pane,
                        traces=gathered.traces,
                        append_us=gathered.append_us,
                        is_history=history_of is not None,
                    )
                    changed.setdefault(series.key, set()).add(group)

    # Evaluation

    def tick(self, now_us: int) -> None:
        """Evaluate what depends on time."""
        self._log_us = max(self._log_us, now_us)
        self.states.now_us = max(self.states.now_us, now_us)
        self.flush()
        pane_s = self._clock.idle_pane_s(now_us)
        if pane_s > self._clock.current_s:
            self._slide(pane_s)
            self._clock.moved_while_idle(pane_s)
        at_us = self._clock.event_us(now_us)
        for rule in tuple(self.rules.values()):
            if rule.is_silence:
                self._attempt(rule, self._evaluation.silence, now_us)
            self._attempt(rule, self.states.pass_time, now_us if rule.is_silence else at_us)

    def _slide(self, to_s: int) -> None:
        """Move the current pane to ``to_s``; evaluate the windows that end on the way.

        While a backlog is read, panes can be skipped. Those at whose ends data leave windows, or a
        condition has held for its time, are evaluated as they would have been without it.
        """
        for end_s in ends_s(self._clock.current_s, to_s, self.series, self.rules):
            for series in self.series.values():
                series.slide(end_s - PANE_S)
            for rule in tuple(self.rules.values()):
                self._attempt(rule, self._evaluation.ended, end_s)
                if rule.calendar is not None and rule.active:
                    self._attempt(rule, self._evaluation.calendar, end_s - PANE_S)
            for series in self.series.values():
                series.clear_touched()
        for series in self.series.values():
            series.slide(to_s)
            self.counts.late += series.late_refused
            self.counts.groups += series.groups_refused
            series.late_refused = series.groups_refused = 0
        for rule in tuple(self.rules.values()):
            if rule.calendar is not None:
                self._attempt(rule, self._evaluation.calendar, to_s)
        self._slides += 1
        if self._slides % FORGET_PANES == 0:
            self._forget(to_s)

    def _attempt(self, rule: Rule, evaluate: Callable[..., None], *arguments: Any) -> None:
        """Evaluate a rule; if that raises, the other rules are still evaluated."""
        if not rule.is_in_force(self._log_us):
            return
        try:
            evaluate(rule, *arguments)
        except Exception as error:  # noqa: BLE001  # see above
            self.set_aside(rule.record, error)

    def _forget(self, current_s: int) -> None:
        """Forget groups without data whose state does not matter any more."""
        oldest_us = (current_s - self._limits.idle_max_s) * SECOND_US
        for rule in self.rules.values():
            for group, state in list(rule.groups.items()):
                if group and state.state not in OPEN and state.since_us < oldest_us:
                    self.states.forget(rule, group)
        for series in self.series.values():
            rules = [rule for rule in self.rules.values() if rule.series is series]

            def is_needed(group: Group, rules: list[Rule] = rules) -> bool:
                return any(group in rule.active or rule.is_silence for rule in rules)

            series.forget(is_needed)
