"""Evaluate rules about single rows: the cost of a trace, the tokens of a call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from clickhouse.feed import project_of_row
from clickhouse.rows import ObservationRow, TraceRow
from producers.alerting.metric import Metric
from producers.alerting.registry import METRICS, Metrics
from producers.control.kinds.alert_rule import AlertRule
from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import REGISTRY
from producers.notifications.alert import Alert
from producers.notifications.rule_change import RuleChange
from streams.core.alerting.rules.index import SETS, members
from streams.core.alerting.rules.machine import GroupState, alert_id, episode_id
from streams.core.alerting.rules.measures import NotComputable, Ratio, Threshold, decimal_of
from streams.core.alerting.rules.notices import alert_of, reason_of, restore_change
from streams.core.alerting.rules.row_episodes import RowEpisodes
from streams.core.alerting.rules.suppression import Suppressions
from streams.core.observations.bounding import cut_name

_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "traces": msgspec.json.Decoder(TraceRow),
    "observations": msgspec.json.Decoder(ObservationRow),
}
_PICO: Final = 10**12
_texts: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule that is compared with each row."""

    record: AlertRule
    metric: Metric
    source: str
    threshold: Threshold
    group_by: tuple[str, ...]
    filter: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, record: AlertRule, metrics: Metrics = METRICS) -> RowRule:
        """Return the rule of a record.

        Raises:
            KeyError, NotComputable: the metric is not one of rows.
        """
        metric = metrics[record.metric]
        source = metric.source_for((*record.filter, *record.group_by))
        if metric.aggregate != "each" or source not in _DECODERS:
            raise NotComputable(f"{metric.name} is not computed from single rows")
        return cls(
            record,
            metric,
            source,
            Threshold.of(record.comparison, record.threshold_value),
            tuple(sorted({*record.group_by, *metric.group})),
            {name: each for name, each in record.filter.items() if name not in metric.filters},
        )

    def value_of(self, row: Any) -> Ratio:
        """Return the value of a row."""
        found = getattr(row, self.metric.of[0])
        if isinstance(found, dict):
            wanted = self.record.filter.get("usage_type")
            found = sum(n for name, n in found.items() if wanted is None or name in wanted)
        return found, _PICO if self.metric.unit == "USD" else 1

    def selects(self, row: Any) -> bool:
        """Return whether the filter selects a row."""
        for name, values in self.filter.items():
            value = _value(name, row)
            if name in SETS:
                if members(value).isdisjoint(values):
                    return False
            elif value not in values:
                return False
        return True


@dataclass(slots=True)
class RowRules:
    """The rules about single rows of the projects of a partition.

    Args:
        alerted_max: limit of remembered alerts; above it, the oldest are forgotten, so that a
            change of their row repeats an alert with the same id.
    """

    suppressions_of: Callable[[str], Suppressions]
    alerted_max: int
    alerts: list[Alert] = field(default_factory=list)
    dropped: int = 0
    episodes: RowEpisodes = field(init=False)
    _rules: dict[str, dict[str, RowRule]] = field(default_factory=dict)
    """By project and id."""
    _alerted: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.episodes = RowEpisodes(self.alerted_max)

    def put(self, record: AlertRule, metrics: Metrics, now_us: int) -> bool:
        """Add or replace a rule; return whether it is about single rows."""
        metric = metrics.get(record.metric)
        is_row_rule = metric is not None and metric.aggregate == "each"
        if not is_row_rule or not record.enabled:
            reason = "the rule was changed" if record.enabled else "the rule was disabled"
            self.remove(record.project_id, record.id, now_us, reason)
            return is_row_rule
        self._remove(record.project_id, record.id)
        self._rules.setdefault(record.project_id, {})[record.id] = RowRule.of(record, metrics)
        self.episodes.rule_changed(record)
        return True

    def remove(
        self, project_id: str, rule_id: str, now_us: int, reason: str = "the rule was deleted"
    ) -> None:
        """Remove a rule, if it is about single rows, and resolve its alerts."""
        self._remove(project_id, rule_id)
        self.episodes.rule_ended(project_id, rule_id, now_us, reason)

    def _remove(self, project_id: str, rule_id: str) -> None:
        rules = self._rules.get(project_id)
        if rules is not None and rules.pop(rule_id, None) is not None and not rules:
            del self._rules[project_id]

    def record(self, project_id: str, rule_id: str) -> AlertRule | None:
        """Return a rule about single rows, or None."""
        rule = self._rules.get(project_id, {}).get(rule_id)
        return None if rule is None else rule.record

    def take_alerts(self) -> list[Alert]:
        """Return the alerts since the last call."""
        alerts, self.alerts = self.alerts + self.episodes.alerts, []
        self.episodes.alerts = []
        return alerts

    def restore_alert(self, record: AlertRule, alert: Alert, change: RuleChange) -> None:
        """Remember an alert, and continue its episode."""
        self.add_alerted(alert.id)
        state = GroupState()
        restore_change(state, alert, change)
        self.episodes.restore_alert(record, alert, state)

    def is_used_by(self, project_id: str) -> bool:
        """Return whether a project has such rules."""
        return project_id in self._rules

    def sources(self) -> dict[str, int]:
        """Return the tables whose rows are needed, with the creation of their oldest rule."""
        found: dict[str, int] = {}
        for rules in self._rules.values():
            for rule in rules.values():
                created_us = rule.record.created_us
                found[rule.source] = min(created_us, found.get(rule.source, created_us))
        return found

    def add_alerted(self, alert: str) -> None:
        """Remember an alert, so that it is not repeated."""
        self._alerted[alert] = None
        if len(self._alerted) > self.alerted_max:
            self._alerted.popitem(last=False)
            self.dropped += 1

    def apply(self, source: str, value: bytes, append_us: int) -> None:
        """Evaluate the rows of a record; one that cannot be decoded is left out."""
        for line in value.split(b"\n"):
            rules = self._rules.get(project_of_row(line).decode(errors="replace"))
            if not rules:
                continue
            wanted = [rule for rule in rules.values() if rule.source == source]
            if not wanted:
                continue
            try:
                row = _DECODERS[source].decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue  # the sink writes its dead letter
            for rule in wanted:
                self._evaluate(rule, row, append_us)

    def evaluate(self, source: str, row: Any, append_us: int) -> None:
        """Evaluate a decoded row."""
        for rule in tuple(self._rules.get(row.project_id, {}).values()):
            if rule.source == source:
                self._evaluate(rule, row, append_us)

    def _evaluate(self, rule: RowRule, row: Any, append_us: int) -> None:
        record = rule.record
        if row.is_deleted or append_us < record.created_us:
            return
        value = rule.value_of(row)
        if not rule.threshold.is_met(value) or not rule.selects(row):
            return
        trace_id = row.id if rule.source == "traces" else row.trace_id
        identity = f"{rule.source}/{trace_id}/{row.id}"
        episode = episode_id(record.project_id, record.id, 0, identity, 0)
        found = alert_id(episode, "alert.firing", 1)
        if found in self._alerted:
            return
        self.add_alerted(found)
        state = GroupState(
            state="firing",
            episode_id=episode,
            sequence=1,
            value=decimal_of(value),
            window_us=(row.start_us, max(row.start_us, row.end_us)),
            exemplars=(trace_id,),
        )
        state.reason = reason_of(record, "alert.firing", state.value, of_row=True)
        values = {name: _value(name, row) for name in rule.group_by}
        suppression = self.suppressions_of(record.project_id).of(record, values, append_us)
        if suppression is None:
            state.is_announced, state.notified_us = True, append_us
        else:
            state.suppressed_by = suppression.by or suppression.reason
        self.alerts.append(alert_of(record, state, "alert.firing", values, suppression, append_us))
        ids = {"trace_id": trace_id}
        if rule.source == "observations":
            ids["observation_id"] = row.id
        self.episodes.begin(record, state, values | ids, append_us)


_DIMENSIONS: Final[dict[str, Dimension]] = {each.name: each for each in REGISTRY.all()}


def _value(name: str, row: Any) -> str:
    """Return the value of a dimension of a row."""
    dimension = _DIMENSIONS[name]
    found = _field(dimension, row)
    text = dimension.value_of(found) if found else ""
    return cut_name(text, dimension.chars_max) or dimension.default


def _field(dimension: Dimension, row: Any) -> Any:
    if dimension.observation_field and hasattr(row, dimension.observation_field):
        return getattr(row, dimension.observation_field)
    name = dimension.trace_field or ""
    parent, _, key = name.rpartition(".")
    if not parent:
        found = getattr(row, name, "")
        return tuple(sorted(found)) if dimension.is_array else found
    try:
        found = _texts.decode(getattr(row, parent)).get(key, "")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""
