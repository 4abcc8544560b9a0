"""Call the evaluators of a partition; one that raises does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from producers.control.record import Change
from producers.notifications.alert import Alert
from producers.tiers.record import Tier
from streams.alerting import metrics
from streams.core.alerting.evaluator import (
    BeginsAfter,
    ComparesEarlier,
    DefersStates,
    Evaluator,
    FindsCalls,
    FollowsTiers,
    ForecastsSpend,
    History,
    MarksPartial,
    ReadsHistory,
    ReadsRows,
    ReadsSpend,
    State,
)
from streams.core.alerting.rules.earlier import EarlierQuery
from streams.core.alerting.rules.scored_calls import CallQuery
from streams.core.alerting.source_order import Applied, SourceOrder
from streams.core.budgets.sums import SpendQuery, SpendResult
from streams.core.budgets.usual_spend import UsualQuery, UsualSpend
from streams.core.rollups.delta_record import read_deltas
from streams.core.rollups.deltas import Delta

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """An evaluator, its name and the full name of its topic of states."""

    name: str
    topic: str
    evaluator: Evaluator


class Evaluation:
    """The evaluators of a partition, and the position up to which they have applied ``deltas``.

    Attributes:
        input_offset: offset of the last applied record.
        appended_us: its append time.
    """

    def __init__(self, evaluators: Iterable[Running]) -> None:
        self.input_offset = -1
        self.appended_us = 0
        self._evaluators = list(evaluators)
        self._order = SourceOrder({})
        self._now_us = 0
        self._reading: list[Running] = []

    @property
    def has_time(self) -> bool:
        """Return whether a tick or a delta has told the time, so that event time has begun."""
        return self._now_us > 0

    def control_changed(self, change: Change, now_us: int) -> None:
        """Pass a control record to all evaluators."""
        for each in self._evaluators:
            self._call(each, lambda it: it.control_changed(change, now_us))

    def tier_changed(self, tier: Tier, now_us: int) -> None:
        """Pass the new tier of a user to the evaluators that depend on tiers."""
        for each in self._evaluators:
            if isinstance(each.evaluator, FollowsTiers):
                try:
                    each.evaluator.tier_changed(tier, now_us)
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)

    def restore(self, topic: str, key: str, value: bytes) -> None:
        """Restore a state of a topic."""
        for each in self._evaluators:
            if each.topic == topic:
                self._call(each, lambda it: it.restore(key, value))

    def restore_alert(self, alert: Alert) -> None:
        """Pass an earlier alert to all evaluators."""
        for each in self._evaluators:
            self._call(each, lambda it: it.restore_alert(alert))

    def restored(self, input_offset: int, applied: Applied, now_us: int) -> None:
        """Begin to evaluate, after the record at ``input_offset``."""
        self.input_offset = input_offset
        self._order = SourceOrder(applied)
        for each in self._evaluators:
            if isinstance(each.evaluator, BeginsAfter):
                each.evaluator.begins_after(input_offset)
            self._call(each, lambda it: it.restored(now_us))

    def apply(self, offset: int, append_us: int, value: bytes) -> None:
        """Apply a record of ``deltas``; records must be passed in order."""
        self.appended_us = max(self.appended_us, append_us)
        self._now_us = max(self._now_us, append_us)
        record = read_deltas(value)
        metrics.UNREADABLE.inc(len(record.failed))
        repeats = 0
        for delta in record.deltas:
            if not self._order.is_new(delta):
                repeats += 1
                continue
            for each in self._evaluators:
                try:
                    each.evaluator.apply(delta, offset, append_us)
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)
        metrics.DELTAS.inc(len(record.deltas))
        metrics.REPEATS.inc(repeats)
        self.input_offset = offset

    def tick(self, now_us: int) -> None:
        """Evaluate what depends on time."""
        self._now_us = max(self._now_us, now_us)
        for each in self._evaluators:
            self._call(each, lambda it: it.tick(self._now_us))

    def events_deferred(self, *, is_partial: bool) -> None:
        """Pass on whether accepted events are not processed yet, so that the deltas lack them."""
        for each in self._evaluators:
            if isinstance(each.evaluator, MarksPartial):
                each.evaluator.events_deferred(is_partial=is_partial)

    def begin_history(self, now_us: int) -> History | None:
        """Return the older deltas that evaluators need, together; None if there are none."""
        self._reading = []
        wanted: list[History] = []
        for each in self._evaluators:
            if isinstance(each.evaluator, ReadsHistory):
                history = each.evaluator.begin_history(now_us)
                if history is not None:
                    wanted.append(history)
                    self._reading.append(each)
        if not wanted:
            return None
        return History(min(each.from_us for each in wanted), max(each.to_offset for each in wanted))

    def apply_history(
        self, offset: int, append_us: int, value: bytes, is_new: Callable[[Delta], bool]
    ) -> None:
        """Pass the new deltas of an older record to the evaluators that need it."""
        for delta in read_deltas(value).deltas:
            if not is_new(delta):
                continue
            for each in self._reading:
                try:
                    each.evaluator.apply_history(delta, offset, append_us)  # type: ignore[attr-defined]
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)

    def history_read(self, from_us: int, *, is_last: bool) -> None:
        """Note that a range of older deltas was passed."""
        for each in self._reading:
            self._call(each, lambda it: it.history_read(from_us, is_last=is_last))  # type: ignore[attr-defined]

    def row_sources(self) -> dict[str, int]:
        """Return the tables whose rows the evaluators need, and from when on."""
        return self._earliest(lambda it: it.row_sources())

    def apply_rows(self, source: str, value: bytes, append_us: int) -> None:
        """Pass the rows of a record to the evaluators that need them."""
        for each in self._evaluators:
            if isinstance(each.evaluator, ReadsRows):
                try:
                    each.evaluator.apply_rows(source, value, append_us)
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)

    def older_rows(self) -> dict[str, int]:
        """Return tables of which older rows are needed, and from when on."""
        return self._earliest(lambda it: it.older_rows())

    def _earliest(self, needed: Callable[[ReadsRows], Mapping[str, int]]) -> dict[str, int]:
        """Return the tables that any evaluator needs, and the earliest time of each."""
        sources: dict[str, int] = {}
        for each in self._evaluators:
            if isinstance(each.evaluator, ReadsRows):
                for source, from_us in needed(each.evaluator).items():
                    sources[source] = min(from_us, sources.get(source, from_us))
        return sources

    def rows_read(self, older: Mapping[str, int]) -> None:
        """Note that all rows were passed."""
        for each in self._evaluators:
            if isinstance(each.evaluator, ReadsRows):
                try:
                    each.evaluator.rows_read(older)
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)

    def earlier_wanted(self, now_us: int) -> list[tuple[ComparesEarlier, EarlierQuery]]:
        """Return the queries of earlier windows that evaluators need, with their evaluator."""
        return [
            (each.evaluator, query)
            for each in self._evaluators
            if isinstance(each.evaluator, ComparesEarlier)
            for query in each.evaluator.earlier_wanted(now_us)
        ]

    def calls_wanted(self, count_max: int) -> list[tuple[FindsCalls, CallQuery]]:
        """Return the look-ups of scored observations that evaluators need, with their evaluator."""
        return [
            (each.evaluator, query)
            for each in self._evaluators
            if isinstance(each.evaluator, FindsCalls)
            for query in each.evaluator.calls_wanted(count_max)
        ]

    def usual_wanted(self, now_us: int) -> list[tuple[UsualSpend, UsualQuery]]:
        """Return the readings of usual spend that budgets need, and where they are kept."""
        return [
            (each.evaluator.usual, query)
            for each in self._evaluators
            if isinstance(each.evaluator, ForecastsSpend)
            for query in each.evaluator.usual.wanted(now_us)
        ]

    def take_alerts(self) -> list[Alert]:
        """Return the alerts of all evaluators since the last call."""
        alerts: list[Alert] = []
        for each in self._evaluators:
            self._call(each, lambda it: alerts.extend(it.take_alerts()))
        return alerts

    def take_states(self, count_max: int | None = None) -> dict[str, list[State]]:
        """Return changed states by topic, of which at most ``count_max`` can wait; None: all."""
        states: dict[str, list[State]] = {}
        for each in self._evaluators:
            changed: list[State] = []
            try:
                if isinstance(each.evaluator, DefersStates):
                    changed += each.evaluator.take_states(count_max)
                else:
                    changed += each.evaluator.take_states()
            except Exception as error:  # noqa: BLE001  # the other evaluators continue
                _failed(each, error)
            metrics.STATES.labels(each.name).inc(len(changed))
            states.setdefault(each.topic, []).extend(changed)
        return states

    @property
    def written_to(self) -> int:
        """Return the offset up to which the taken states contain all changes."""
        found = [
            each.evaluator.written_to
            for each in self._evaluators
            if isinstance(each.evaluator, DefersStates)
        ]
        return min((each for each in found if each is not None), default=self.input_offset)

    def spend_queries(self, count_max: int) -> list[SpendQuery]:
        """Return up to ``count_max`` readings of stored spend to begin."""
        found: list[SpendQuery] = []
        for each in self._evaluators:
            if isinstance(each.evaluator, ReadsSpend):
                try:
                    found += each.evaluator.spend_queries(count_max - len(found), self.input_offset)
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)
        return found

    def spend_read(self, query: SpendQuery, result: SpendResult | None) -> None:
        """Pass the result of a reading to the evaluators."""
        for each in self._evaluators:
            if isinstance(each.evaluator, ReadsSpend):
                try:
                    each.evaluator.spend_read(query, result)
                except Exception as error:  # noqa: BLE001  # the other evaluators continue
                    _failed(each, error)

    def applied(self) -> Applied:
        """Return the applied source records, for a checkpoint."""
        return self._order.applied()

    def _call(self, running: Running, call: Callable[[Evaluator], None]) -> None:
        try:
            call(running.evaluator)
        except Exception as error:  # noqa: BLE001  # the other evaluators continue
            _failed(running, error)


def _failed(running: Running, error: Exception) -> None:
    metrics.FAILURES.labels(running.name).inc()
    log.error("evaluator_failed", evaluator=running.name, exc_info=error)
