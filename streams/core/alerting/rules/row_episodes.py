"""Keep the alerts about single rows that are firing, and resolve them after some time.

A single row, such as a trace that was too expensive, does not recover. So its alert is firing for
``keep_firing_for`` of the rule, or else for the rule's window, and is then resolved: it is listed
meanwhile, and receivers can close what they opened.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from clickhouse.rows import AlertStateRow
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.alert import Alert
from streams.core.alerting.evaluator import State
from streams.core.alerting.rules.machine import FIRING, RESOLVED, GroupState, group_hash
from streams.core.alerting.rules.notices import alert_of, row_of_state, state_of_row
from streams.core.alerting.rules.suppression import SILENCED, Suppression

ROW_NAMES: Final = frozenset({"trace_id", "observation_id"})
"""Members of groups of states that identify a row."""
FORGOTTEN_AFTER_US: Final = 3_600_000_000
"""Age of alerts without a state that a restart does not resolve: those of earlier versions."""
_SECOND_US: Final = 1_000_000


class _Open(NamedTuple):
    record: AlertRule
    state: GroupState
    group: dict[str, str]
    since_us: int
    has_row: bool = True
    """Whether its state is written."""

    @property
    def keep_s(self) -> int:
        return self.record.keep_firing_for_s or self.record.window_s

    @property
    def ends_us(self) -> int:
        return self.since_us + self.keep_s * _SECOND_US

    @property
    def values(self) -> dict[str, str]:
        return {name: each for name, each in self.group.items() if name not in ROW_NAMES}


@dataclass(slots=True)
class RowEpisodes:
    """The firing alerts about rows of a partition, oldest first.

    Attributes:
        open_max: limit of their number; above it, the oldest is resolved.
        alerts: alerts that resolve them, which the evaluator takes.
    """

    open_max: int
    alerts: list[Alert] = field(default_factory=list)
    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    """By episode."""
    _states: list[State] = field(default_factory=list)

    def begin(
        self, record: AlertRule, state: GroupState, group: dict[str, str], now_us: int
    ) -> None:
        """Add a firing alert, whose group has the ids of its row."""
        state.since_us = state.started_us = now_us
        each = self._open[state.episode_id] = _Open(record, state, group, now_us)
        self._write(each, now_us)
        if len(self._open) > self.open_max:
            self._resolve(next(iter(self._open)), now_us, "there are too many alerts")

    def pass_time(self, now_us: int) -> None:
        """Resolve the alerts whose time is over."""
        for episode in [key for key, each in self._open.items() if each.ends_us <= now_us]:
            after_s = self._open[episode].keep_s
            reason = f"alerts about a single trace or call end after {after_s} s"
            self._resolve(episode, now_us, reason)

    def rule_ended(self, project_id: str, rule_id: str, now_us: int, reason: str) -> None:
        """Resolve the alerts of a rule."""
        for episode, each in list(self._open.items()):
            if (each.record.project_id, each.record.id) == (project_id, rule_id):
                self._resolve(episode, now_us, reason)

    def rule_changed(self, record: AlertRule) -> None:
        """Use the new version of a rule for its alerts."""
        for episode, each in self._open.items():
            if (each.record.project_id, each.record.id) == (record.project_id, record.id):
                self._open[episode] = each._replace(record=record)

    def take_states(self) -> list[State]:
        """Return the states that changed since the last call."""
        states, self._states = self._states, []
        return states

    def restore(self, record: AlertRule, row: AlertStateRow) -> None:
        """Restore a state."""
        group = msgspec.json.decode(row.group, type=dict[str, str])
        self._open[row.episode_id] = _Open(record, state_of_row(row), group, row.since_us)

    def restore_alert(self, record: AlertRule, alert: Alert, state: GroupState) -> None:
        """Continue from an alert that was written without its state, because of a crash."""
        known = self._open.get(alert.episode)
        if alert.state == RESOLVED:
            if known is not None and known.has_row:
                self._write(known, alert.created_us, is_deleted=True)
            self._open.pop(alert.episode, None)
        elif known is None:
            group = {"trace_id": state.exemplars[0] if state.exemplars else ""}
            self._open[alert.episode] = _Open(record, state, group, alert.created_us, has_row=False)

    def restored(self, now_us: int) -> None:
        """Write the states that a crash has lost; forget alerts of earlier versions."""
        for episode, each in list(self._open.items()):
            if each.has_row:
                continue
            if each.ends_us < now_us - FORGOTTEN_AFTER_US:
                del self._open[episode]
            else:
                self._open[episode] = each._replace(has_row=True)
                self._write(each, now_us)

    def _resolve(self, episode: str, now_us: int, reason: str) -> None:
        each = self._open.pop(episode)
        record, state = each.record, each.state
        state.state, state.since_us, state.sequence = RESOLVED, now_us, state.sequence + 1
        state.reason = f"resolved because {reason}"
        suppression = None if state.is_announced else Suppression(state.suppressed_by or SILENCED)
        self.alerts.append(
            alert_of(record, state, "alert.resolved", each.values, suppression, now_us)
        )
        self._write(each, now_us, is_deleted=True)

    def _write(self, each: _Open, now_us: int, *, is_deleted: bool = False) -> None:
        text = msgspec.json.encode(each.group, order="sorted").decode()
        row = row_of_state(
            each.record,
            each.state,
            text,
            complete_since_us=0,
            input_offset=-1,
            now_us=now_us,
            is_deleted=is_deleted,
        )
        self._states.append(State(f"{each.record.id}/{group_hash(text)}", row, is_deleted))


def is_of_row(row: AlertStateRow) -> bool:
    """Return whether a state is one of an alert about a single row."""
    return row.state == FIRING and '"trace_id":' in row.group
