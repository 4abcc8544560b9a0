"""The evaluator of alert rules (``streams.core.alerting.evaluator``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from clickhouse.rows import AlertStateRow
from producers.alerting.registry import METRICS, Metrics
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.silence import Silence
from producers.control.record import Change, Tombstone
from producers.notifications.alert import Alert
from producers.notifications.rule_change import RuleChange
from streams.core.alerting.evaluator import EvaluatorContext, History, State
from streams.core.alerting.rules.earlier import EarlierQuery
from streams.core.alerting.rules.limits import RuleLimits
from streams.core.alerting.rules.machine import FIRING
from streams.core.alerting.rules.notices import RULE_KIND, restore_change, state_of_row
from streams.core.alerting.rules.orphans import Orphans
from streams.core.alerting.rules.panes import Group, Pane, PaneQuota
from streams.core.alerting.rules.project import ProjectRules
from streams.core.alerting.rules.row_episodes import is_of_row
from streams.core.alerting.rules.row_rules import RowRules
from streams.core.alerting.rules.rule import Rule, group_of_json
from streams.core.alerting.rules.score_rules import SCORES, ScoreRules
from streams.core.alerting.rules.scored_calls import Call, CallKey, CallQuery
from streams.core.alerting.rules.states import WHOLE_RULE
from streams.core.alerting.rules.suppression import Suppressions
from streams.core.rollups.deltas import Delta

_row: Final = msgspec.json.Decoder(AlertStateRow)
_change: Final = msgspec.json.Decoder(RuleChange)


class RuleBook:
    """The rules of the projects of one partition."""

    def __init__(self, context: EvaluatorContext, metrics: Metrics = METRICS) -> None:
        self._context = context
        self._metrics = metrics
        settings = context.settings
        self._limits = RuleLimits(
            groups_max=settings.rule_groups_max,
            late_max_s=settings.late_max_s,
            idle_max_s=settings.group_idle_h * 3_600,
            quota=PaneQuota(settings.rule_panes_max),
        )
        self._projects: dict[str, ProjectRules] = {}
        self._project_of: dict[tuple[str, str], str] = {}
        """Projects of rules, silences and acknowledgements, by kind and id."""
        self._restored_us: dict[int, int] = {}
        self._removed: list[State] = []
        self._orphans = Orphans()
        self._rows = RowRules(self._suppressions_of, settings.row_alerts_max)
        self._scores = ScoreRules(
            settings.late_max_s, settings.rule_scores_max, int(settings.score_call_wait_max_s)
        )
        self._alerts: list[Alert] = []
        self._is_live = self._is_partial = False
        self._offset = -1

    # Control records

    def control_changed(self, change: Change, now_us: int) -> None:
        """Add, replace or remove a rule, a silence or an acknowledgement."""
        if isinstance(change, Tombstone):
            project_id = self._project_of.pop((change.kind, change.id), None)
            project = None if project_id is None else self._projects.get(project_id)
            if project is not None:
                self._remove(project, change, now_us)
            return
        if not isinstance(change, AlertRule | Silence | Acknowledgement):
            return
        if not self._context.owns(change.project_id):
            return
        self._project_of[change.kind, change.id] = change.project_id
        project = self._projects.get(change.project_id)
        if project is None:
            project = ProjectRules(change.project_id, self._limits, self._metrics)
            project.states.is_partial = self._is_partial
            self._projects[change.project_id] = project
        project.applied_to = self._offset
        if isinstance(change, AlertRule):
            if self._rows.put(change, self._metrics, now_us):
                project.remove(change.id, "the rule was changed")
            else:
                project.put(change, now_us, is_live=self._is_live)
            self._scores.rules_changed(project, now_us)
        elif isinstance(change, Silence):
            project.states.suppressions.silences[change.id] = change
        else:
            project.states.suppressions.acknowledgements[change.episode_id] = change

    def _remove(self, project: ProjectRules, removed: Tombstone, now_us: int) -> None:
        project.states.now_us = max(project.states.now_us, now_us)
        suppressions = project.states.suppressions
        if removed.kind == AlertRule.kind:
            project.remove(removed.id)
            self._scores.rules_changed(project, now_us)
            self._rows.remove(project.project_id, removed.id, now_us)
        elif removed.kind == Silence.kind:
            suppressions.silences.pop(removed.id, None)
        elif removed.kind == Acknowledgement.kind:
            suppressions.remove_acknowledgement(removed.id)

    # Restoring

    def restore(self, key: str, value: bytes) -> None:
        """Restore the state of a group; remove it if its rule does not exist any more."""
        row = _row.decode(value)
        if row.is_deleted:
            return
        record = self._rows.record(row.project_id, row.rule_id)
        if record is not None and is_of_row(row):
            self._rows.episodes.restore(record, row)
            return
        found = self._group_of(row.project_id, row.rule_id, row.group)
        if found is None:
            if row.group != WHOLE_RULE or not self._is_faulty(row.project_id, row.rule_id):
                gone = msgspec.structs.replace(row, is_deleted=1, row_version=row.row_version + 1)
                self._removed.append(State(key, gone, is_deleted=True))
            return
        rule, group = found
        state = rule.groups[group] = state_of_row(row)
        self._restored_us[id(state)] = row.updated_us
        rule.note_state(group)

    def restore_alert(self, alert: Alert) -> None:
        """Continue from an alert that was written without its state, because of a crash."""
        if alert.rule_kind != RULE_KIND:
            return
        change = _change.decode(alert.payload)
        found = self._group_of(alert.project_id, alert.rule_id, None, change.group)
        if change.test:
            return
        record = self._rows.record(alert.project_id, alert.rule_id)
        if record is not None:
            self._rows.restore_alert(record, alert, change)
            return
        if found is None:
            self._orphans.add(alert, change)
            return
        rule, group = found
        state = rule.state_of(group)
        updated_us = self._restored_us.get(id(state), 0)
        is_newer = (
            change.sequence > state.sequence
            if alert.episode == state.episode_id
            else alert.created_us >= updated_us
        )
        if is_newer:
            restore_change(state, alert, change)
            self._restored_us[id(state)] = alert.created_us
            rule.note_state(group)
            self._projects[alert.project_id].states.mark(rule, group)

    def restored(self, now_us: int) -> None:
        """Begin to evaluate."""
        self._restored_us.clear()
        self._alerts += self._orphans.take(now_us)
        self._rows.episodes.restored(now_us)
        self._is_live = True
        for project in self._projects.values():
            project.states.now_us = max(project.states.now_us, now_us)
            for rule in project.rules.values():
                for group, state in rule.groups.items():
                    if state.state == FIRING:
                        values = dict(zip(rule.group_by, group, strict=True))
                        text = rule.group_json(group)
                        project.states.suppressions.set_firing(rule.record, text, values)

    def _group_of(
        self,
        project_id: str,
        rule_id: str,
        text: str | None,
        values: dict[str, str] | None = None,
    ) -> tuple[Rule, tuple[str, ...]] | None:
        project = self._projects.get(project_id)
        rule = None if project is None else project.rules.get(rule_id)
        if rule is None:
            return None
        encoded = msgspec.json.encode(values).decode() if text is None else text
        group = group_of_json(rule.group_by, encoded)
        return None if group is None else (rule, group)

    def _is_faulty(self, project_id: str, rule_id: str) -> bool:
        project = self._projects.get(project_id)
        return project is not None and project.is_faulty(rule_id)

    # Deltas

    def apply(self, delta: Delta, offset: int, now_us: int) -> None:
        """Apply a delta of a project with rules."""
        self._offset = offset
        project = self._projects.get(delta.project_id)
        if project is not None and project.rules:
            project.states.input_offset = offset
            project.apply(delta, now_us)

    def events_deferred(self, *, is_partial: bool) -> None:
        """Mark the states and alerts from now on as incomplete, or not any more."""
        self._is_partial = is_partial
        for project in self._projects.values():
            project.states.is_partial = is_partial

    def tick(self, now_us: int) -> None:
        """Evaluate what depends on time."""
        self._scores.forget(now_us)
        self._rows.episodes.pass_time(now_us)
        for project in self._projects.values():
            project.tick(now_us)
            self._count(project)

    def take_alerts(self) -> list[Alert]:
        """Evaluate what was applied, and return the alerts."""
        alerts, self._alerts = self._alerts + self._rows.take_alerts(), []
        for project in self._projects.values():
            project.flush()
            alerts += project.states.alerts
            project.states.alerts = []
        return alerts

    def take_states(self) -> list[State]:
        """Return the changed states."""
        states, self._removed = self._removed + self._rows.episodes.take_states(), []
        for project_id, project in list(self._projects.items()):
            states += project.states.take_states()
            is_used = self._rows.is_used_by(project_id)
            if project.is_empty and not is_used and not project.states.suppressions.is_used:
                del self._projects[project_id]
        return states

    # Earlier values

    def earlier_wanted(self, now_us: int) -> list[EarlierQuery]:
        """Return the queries whose results are missing or outdated."""
        return [
            query
            for project in self._projects.values()
            for rule in project.rules.values()
            if rule.earlier is not None
            and (
                query := rule.earlier.wanted(
                    project.project_id, rule.record.id, rule.key, now_us // 1_000_000
                )
            ).end_s
            > rule.earlier.end_s
        ]

    def earlier_found(self, query: EarlierQuery, found: Mapping[Group, Sequence[Pane]]) -> None:
        """Keep the earlier windows that a query has found, by group."""
        project = self._projects.get(query.project_id)
        rule = None if project is None else project.rules.get(query.rule_id)
        if rule is None or rule.earlier is None or rule.key != query.key:
            return
        values = {
            group: [
                value
                for pane in panes
                if (value := rule.plan.value(pane.sums, pane.bins, query.key.window_s)) is not None
            ]
            for group, panes in found.items()
        }
        rule.earlier.found(query.end_s, values)
        rule.is_behind = True  # windows without further events can now be compared, too

    # Rows

    def row_sources(self) -> Mapping[str, int]:
        """Return the tables whose rows are needed, and from when on."""
        return self._rows.sources() | self._scores.sources()

    def apply_rows(self, source: str, value: bytes, append_us: int) -> None:
        """Evaluate the rows of a record."""
        if source == SCORES:
            self._scores.apply(value, append_us, self._projects)
        else:
            self._rows.apply(source, value, append_us)

    def older_rows(self) -> Mapping[str, int]:
        """Return by table the append time in µs from which rows must be read again."""
        return self._scores.older()

    def rows_read(self, older: Mapping[str, int]) -> None:
        """Evaluate the rules whose scores are complete."""
        self._scores.rows_read(older, self._projects)

    def _suppressions_of(self, project_id: str) -> Suppressions:
        return self._projects[project_id].states.suppressions

    # Scored calls

    def calls_wanted(self, count_max: int) -> list[CallQuery]:
        """Return the look-ups of scored observations."""
        return self._scores.calls_wanted(count_max)

    def calls_found(
        self, query: CallQuery, found: Mapping[CallKey, Call] | None, now_us: int
    ) -> None:
        """Evaluate the scores whose observations a look-up has found."""
        project = self._projects.get(query.project_id)
        if project is not None:
            self._scores.calls_found(project, query, found, now_us)

    # History

    def begins_after(self, offset: int) -> None:
        """Note that the rules have no deltas yet, and that the next one follows ``offset``."""
        self._offset = offset
        for project in self._projects.values():
            project.begins_after(offset)

    def begin_history(self, now_us: int) -> History | None:
        """Return the older deltas that new rules need."""
        found = [project.begin_history(now_us) for project in self._projects.values()]
        wanted = [each for each in found if each is not None]
        if not wanted:
            return None
        return History(min(each.from_us for each in wanted), max(each.to_offset for each in wanted))

    def apply_history(self, delta: Delta, offset: int, append_us: int) -> None:
        """Add an older delta to the rules that need it."""
        project = self._projects.get(delta.project_id)
        if project is not None:
            project.apply_history(delta, offset, append_us)

    def history_read(self, from_us: int, *, is_last: bool) -> None:
        """Evaluate the rules that became complete."""
        for project in self._projects.values():
            project.history_read(from_us, is_last=is_last)

    def _count(self, project: ProjectRules) -> None:
        counts = project.counts
        dropped, self._rows.dropped = self._rows.dropped, 0
        forgotten, self._scores.dropped = self._scores.dropped, 0
        unknown, self._scores.unknown_calls = self._scores.unknown_calls, 0
        for name, count in (
            ("row_alerts_max", dropped),
            ("rule_scores_max", forgotten),
            ("score_call_wait_max_s", unknown),
            ("rule_panes_max", self._limits.quota.refused),
            ("late_max_s", counts.late),
            ("rule_groups_max", counts.groups),
            ("clock_ahead", counts.ahead),
        ):
            if count:
                self._context.limit_reached(name, count)
        self._limits.quota.refused = 0
        counts.late = counts.groups = counts.ahead = 0
