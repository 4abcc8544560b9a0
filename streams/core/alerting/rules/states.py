"""Hold the states of a project's rules, and turn their changes into alerts and rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.alert import Alert
from streams.core.alerting.evaluator import State
from streams.core.alerting.rules.machine import (
    ERROR,
    FIRING,
    IDLE,
    INACTIVE,
    NO_DATA,
    OPEN,
    RESOLVED,
    Condition,
    Event,
    GroupState,
    episode_id,
    group_hash,
    step,
)
from streams.core.alerting.rules.notices import alert_of, reason_of, row_of_state
from streams.core.alerting.rules.panes import Group
from streams.core.alerting.rules.rule import SECOND_US, Evaluated, Rule
from streams.core.alerting.rules.suppression import Suppressions

WHOLE_RULE: Final = "{}"
"""Group of the row that describes a rule that cannot be evaluated."""
_LATER_US: Final = 1_000
"""Added to the version of a row that follows others of the same key and time."""


@dataclass(slots=True)
class RuleStates:
    """The states of the rules of one project.

    Attributes:
        input_offset: offset of the last applied record.
        now_us: time of the last call.
        is_partial: whether events wait for the store, so that values lack them.
    """

    suppressions: Suppressions = field(default_factory=Suppressions)
    input_offset: int = -1
    now_us: int = 0
    is_partial: bool = False
    alerts: list[Alert] = field(default_factory=list)
    _dirty: dict[tuple[str, Group], Rule] = field(default_factory=dict)
    _written: list[State] = field(default_factory=list)

    def evaluate(
        self,
        rule: Rule,
        group: Group,
        found: Evaluated,
        window_s: tuple[int, int],
        at_us: int,
        pane_end_s: int,
    ) -> None:
        """Move a group of a rule, according to the evaluation of a window.

        Args:
            rule: the rule.
            group: the group.
            found: what the evaluation found.
            window_s: start and end of the window.
            at_us: event time.
            pane_end_s: end of the current pane, which identifies an episode that begins now. It
                does not depend on how many deltas were applied together.
        """
        known = rule.groups.get(group)
        if known is None:
            if found.condition is not Condition.MET and not self._is_shown(rule, found):
                return
            known = rule.state_of(group)
        start_s, end_s = window_s
        if end_s * SECOND_US < known.decided_us:
            return
        before = (known.state, known.value, known.is_incomplete, known.window_us)
        rule.apply_to(known, found, start_s, end_s)
        known.is_incomplete |= self.is_partial
        known.evaluated_us = pane_end_s * SECOND_US
        self._move(rule, group, known, found.condition, at_us)
        is_idle = known.state in IDLE and before[0] in IDLE
        after = (known.state, known.value, known.is_incomplete, known.window_us)
        if before[2] != after[2] or (not is_idle and before != after):
            self._dirty[rule.record.id, group] = rule

    def _is_shown(self, rule: Rule, found: Evaluated) -> bool:
        """Return whether a group without a state gets one although it does not meet the rule."""
        return not rule.group_by or (
            found.condition is Condition.NO_DATA and rule.timing.no_data == "alert"
        )

    def pass_time(self, rule: Rule, at_us: int) -> None:
        """Move the groups whose state depends on time, and repeat notifications that are due."""
        for group in tuple(rule.active):
            state = rule.groups[group]
            self._move(rule, group, state, state.condition, at_us)
            if state.state in (FIRING, NO_DATA):
                self._remind(rule, group, state)

    def _move(
        self, rule: Rule, group: Group, state: GroupState, condition: Condition, at_us: int
    ) -> None:
        before = state.state
        event = step(state, condition, at_us, rule.timing)
        if state.state == before:
            return
        rule.note_state(group)
        self._dirty[rule.record.id, group] = rule
        if event is not None:
            is_bound = rule.is_silence and state.is_incomplete
            state.reason = reason_of(rule.record, event, state.value, is_lower_bound=is_bound)
            if rule.earlier is not None:
                state.reason += f" ({rule.earlier.described(group)})"
            if before not in OPEN:
                self._begin_episode(rule, group, state)
            self._announce(rule, group, state, event)

    def _begin_episode(self, rule: Rule, group: Group, state: GroupState) -> None:
        record, text = rule.record, rule.group_json(group)
        episode = episode_id(record.project_id, record.id, record.version, text, state.started_us)
        if episode != state.episode_id:
            state.episode_id, state.sequence, state.acknowledged_by = episode, 0, ""
        state.is_announced = False

    def _announce(self, rule: Rule, group: Group, state: GroupState, event: Event) -> None:
        """Create the alert of an event."""
        record, text = rule.record, rule.group_json(group)
        values = dict(zip(rule.group_by, group, strict=True))
        if event == "alert.firing":
            self.suppressions.set_firing(record, text, values)
        else:
            self.suppressions.unset_firing(record.id, text)
        suppression = self.suppressions.of(record, values, self.now_us)
        if event == "alert.resolved":
            if state.is_announced:
                suppression = None  # receivers of its beginning also receive its end
            elif suppression is None:
                suppression = self.suppressions.not_announced(state.suppressed_by)
        elif suppression is None:
            state.is_announced, state.notified_us = True, self.now_us
        state.suppressed_by = "" if suppression is None else suppression.by or suppression.reason
        state.sequence += 1
        if rule.series is not None and event != "alert.resolved":
            start_us, end_us = state.window_us
            start_s = 0 if rule.is_silence else start_us // SECOND_US  # the last ones before it
            state.exemplars = rule.series.exemplars(group, start_s, end_us // SECOND_US + 1)
        self.alerts.append(alert_of(record, state, event, values, suppression, self.now_us))
        if event == "alert.resolved":
            state.is_announced = False

    def _remind(self, rule: Rule, group: Group, state: GroupState) -> None:
        """Announce an episode again at the rule's interval, or when a silence has ended."""
        record = rule.record
        acknowledged = self.suppressions.acknowledgements.get(state.episode_id)
        author = "" if acknowledged is None else acknowledged.author
        if author != state.acknowledged_by:
            state.acknowledged_by = author
            self._dirty[record.id, group] = rule
        if author:
            return
        if state.is_announced:
            interval_us = record.renotify_interval_s * SECOND_US
            if not interval_us or self.now_us < state.notified_us + interval_us:
                return
        values = dict(zip(rule.group_by, group, strict=True))
        suppression = self.suppressions.of(record, values, self.now_us)
        by = "" if suppression is None else suppression.by or suppression.reason
        if suppression is not None:
            if by != state.suppressed_by:
                state.suppressed_by = by
                self._dirty[record.id, group] = rule
            return
        event: Event = "alert.no_data" if state.state == NO_DATA else "alert.firing"
        self._announce(rule, group, state, event)
        self._dirty[record.id, group] = rule

    def close(self, rule: Rule, reason: str) -> None:
        """Resolve the open episodes of a rule that ends, and remove its states."""
        for group, state in rule.groups.items():
            if state.state in OPEN:
                state.window_us = (state.window_us[0], max(state.window_us[1], state.decided_us))
                state.enter(RESOLVED, self.now_us)
                state.reason = reason
                self._announce(rule, group, state, "alert.resolved")
            self._remove(rule, group, state)
        rule.groups.clear()
        rule.active.clear()

    def forget(self, rule: Rule, group: Group) -> None:
        """Remove the state of a group that is not firing."""
        state = rule.groups.pop(group, None)
        if state is not None:
            rule.active.discard(group)
            self._remove(rule, group, state)

    def _remove(self, rule: Rule, group: Group, state: GroupState) -> None:
        self._dirty.pop((rule.record.id, group), None)
        self.suppressions.unset_firing(rule.record.id, rule.group_json(group))
        self._write(rule, group, state, is_deleted=True)

    def mark(self, rule: Rule, group: Group) -> None:
        """Write the state of a group with the next flush."""
        self._dirty[rule.record.id, group] = rule

    def fail(self, record: AlertRule, reason: str) -> None:
        """Write that a rule cannot be evaluated."""
        state = GroupState(
            state=ERROR,
            since_us=self.now_us,
            reason=reason,
            row_version=self.now_us + _LATER_US,
        )
        self._written.append(self._state_record(record, state, WHOLE_RULE, 0))

    def take_states(self) -> list[State]:
        """Return the changed states since the last call."""
        dirty, self._dirty = self._dirty, {}
        for (_, group), rule in dirty.items():
            state = rule.groups.get(group)
            if state is None:
                continue
            if state.state == INACTIVE and rule.group_by:
                del rule.groups[group]
                self._write(rule, group, state, is_deleted=True)
            else:
                self._write(rule, group, state)
        written, self._written = self._written, []
        return written

    def remove_error(self, record: AlertRule) -> None:
        """Remove what ``fail`` has written."""
        state = GroupState(row_version=self.now_us + 2 * _LATER_US)
        self._written.append(self._state_record(record, state, WHOLE_RULE, 0, is_deleted=True))

    def begin(self, rule: Rule) -> None:
        """Create the state of a rule without groups, with a later version than ``remove_error``."""
        state = rule.state_of(())
        state.row_version = max(state.row_version, self.now_us + 3 * _LATER_US)

    def _write(
        self, rule: Rule, group: Group, state: GroupState, *, is_deleted: bool = False
    ) -> None:
        complete_us = 0
        if rule.series is not None and state.is_incomplete:
            complete_us = rule.series.complete_from_s * SECOND_US
        text = rule.group_json(group)
        self._written.append(
            self._state_record(rule.record, state, text, complete_us, is_deleted=is_deleted)
        )

    def _state_record(
        self,
        record: AlertRule,
        state: GroupState,
        group_json: str,
        complete_since_us: int,
        *,
        is_deleted: bool = False,
    ) -> State:
        row = row_of_state(
            record,
            state,
            group_json,
            complete_since_us=complete_since_us,
            input_offset=self.input_offset,
            now_us=self.now_us,
            is_deleted=is_deleted,
        )
        return State(f"{record.id}/{group_hash(group_json)}", row, is_deleted)
