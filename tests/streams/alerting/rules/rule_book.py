"""A rule book for tests: sends changes, moves the clock and collects alerts and states."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from clickhouse.alert_rows import row_of_alert
from clickhouse.rows import AlertStateRow
from producers.control.kinds.alert_rule import AlertRule
from producers.control.record import Change
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.evaluator import EvaluatorContext
from streams.core.alerting.rules.book import RuleBook
from streams.core.rollups.deltas import Delta, WindowDelta
from streams.core.rollups.sketch import key_of

START_S = 1_700_000_000 // 86_400 * 86_400 + 43_200
"""Noon of a day in UTC."""
SECOND_US = 1_000_000


def rule(**fields: object) -> AlertRule:
    return AlertRule(
        **{
            "id": "rule_1",
            "project_id": "p1",
            "name": "slow",
            "metric": "avg_latency",
            "threshold": "5",
            "window_s": 10,
            "created_us": START_S * SECOND_US,
        }
        | fields
    )


@dataclass
class Book:
    """A rule book whose history is complete."""

    settings: AlertingSettings = field(default_factory=AlertingSettings)
    now_s: float = START_S
    alerts: list[Alert] = field(default_factory=list)
    rows: dict[str, AlertStateRow] = field(default_factory=dict)
    records: list[Change] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    offset: int = -1
    source_offset: int = -1

    def __post_init__(self) -> None:
        self.book = self._new()
        self.book.restored(self.now_us)

    @property
    def now_us(self) -> int:
        return round(self.now_s * SECOND_US)

    def _new(self) -> RuleBook:
        def reached(name: str, count: int) -> None:
            self.reached[name] = self.reached.get(name, 0) + count

        return RuleBook(EvaluatorContext(0, lambda _: True, self.settings, reached))

    def put(self, *records: Change, complete: bool = True) -> None:
        self.records += records
        for record in records:
            self.book.control_changed(record, self.now_us)
        if complete:
            self.complete()
        self.collect()

    def complete(self) -> None:
        """As if all older deltas had been read."""
        self.book.begin_history(self.now_us)
        self.book.history_read(0, is_last=True)

    def send(
        self,
        at_s: float | None = None,
        *,
        count: int = 1,
        errors: int = 0,
        cost_pico: int = 0,
        latency_s: float | None = None,
        model: str = "m",
        environment: str = "default",
        collect: bool = True,
        **more: object,
    ) -> None:
        start_s = int(self.now_s if at_s is None else at_s) // 10 * 10
        bins = {} if latency_s is None else {key_of(latency_s * 1e6): count}
        change = WindowDelta(
            start_s, environment, model, "n", count, errors, cost_pico, {"input": count}, bins
        )
        for name, value in more.items():
            setattr(change, name, value)
        self.source_offset += 1
        self.apply(Delta("p1", 0, self.source_offset, [change], []), collect=collect)

    def apply(self, delta: Delta, *, collect: bool = True) -> None:
        self.offset += 1
        self.book.apply(delta, self.offset, self.now_us)
        if collect:
            self.collect()

    def pass_s(self, seconds: float) -> None:
        """Let time pass, with a tick each half second."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + 0.5)
            self.book.tick(self.now_us)
            self.collect()

    def collect(self) -> None:
        alerts = self.book.take_alerts()
        for alert in alerts:
            row_of_alert(alert, EVENT_TYPES[alert.event])  # it can be encoded
        self.alerts += alerts
        for state in self.book.take_states():
            row = msgspec.json.decode(msgspec.json.encode(state.row), type=AlertStateRow)
            before = self.rows.get(state.key)
            assert before is None or row.row_version > before.row_version
            if state.is_deleted:
                assert row.is_deleted
                self.rows.pop(state.key, None)
            else:
                self.rows[state.key] = row

    def restart(self, *, lose_states: bool = False) -> None:
        """A new book from the written states and alerts."""
        if lose_states:
            self.rows.clear()
        rows = dict(self.rows)
        self.book = self._new()
        for record in self.records:
            self.book.control_changed(record, self.now_us)
        for key, row in rows.items():
            self.book.restore(key, msgspec.json.encode(row))
        for alert in self.alerts:
            self.book.restore_alert(alert)
        self.book.restored(self.now_us)
        self.collect()

    @property
    def events(self) -> list[str]:
        return [alert.event.removeprefix("alert.") for alert in self.alerts]

    def change(self, index: int = -1) -> RuleChange:
        return msgspec.json.decode(self.alerts[index].payload, type=RuleChange)

    def states(self) -> dict[str, str]:
        return {row.group: row.state for row in self.rows.values()}
