"""Evaluate alert rules on the past, with the code of the stream processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from clickhouse.rows import ScoreRow
from producers.alerting.metric import SCORE_SOURCES
from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from producers.dimensions.registry import REGISTRY
from query_api.alerting.backtests import (
    EarlierPanes,
    Past,
    PastEvaluation,
    PastRange,
    PastSeries,
    RulePane,
)
from query_api.money import pico_of
from streams.core.alerting.backtest import Backtest, PastPane, backtest, first_needed_s
from streams.core.alerting.past_windows import earlier_sums
from streams.core.alerting.row_backtest import backtest_rows
from streams.core.alerting.rules.limits import RuleLimits
from streams.core.alerting.rules.measures import NotComputable, plan_of
from streams.core.alerting.rules.panes import PANE_S
from streams.core.alerting.rules.rule import SECOND_US
from streams.core.alerting.rules.score_changes import change_of
from streams.core.alerting.rules.scored_calls import NO_CALL, Call, change_with
from streams.core.rollups.deltas import SpendDelta, WindowDelta, new_spend, new_window
from streams.core.rollups.sketch import bins_of

_WINDOW_NAMES = tuple(each.name for each in REGISTRY.of_windows())
_SPEND_NAMES = tuple(each.name for each in REGISTRY.of_spend())


class StreamBacktester:
    """Backtests by ``streams.core.alerting``."""

    def __init__(self, limits: RuleLimits | None = None) -> None:
        self._limits = limits or RuleLimits()

    def first_needed_s(self, rule: AlertRule, from_s: int) -> int:
        return first_needed_s(rule, from_s)

    def earlier_panes(self, rule: AlertRule, within: PastRange) -> EarlierPanes | None:
        needed = earlier_sums(rule, first_needed_s(rule, within.from_s), within.to_s)
        return None if needed is None else EarlierPanes(needed.bucket_s, needed.spans_s)

    def evaluate(
        self, rule: AlertRule, past: Past, within: PastRange, is_cancelled: Callable[[], bool]
    ) -> PastEvaluation:
        if METRICS[rule.metric].aggregate == "each":
            found = backtest_rows(
                rule,
                past.rows,
                within.from_s,
                within.to_s,
                alerts_max=len(past.rows),
                is_cancelled=is_cancelled,
            )
            return _shown(found)
        try:
            bins = plan_of(rule, METRICS[rule.metric]).bins
        except NotComputable as error:
            return PastEvaluation([], [], 0, str(error))
        found = backtest(
            rule,
            _scored(past) if past.source in SCORE_SOURCES else _panes(past, bins),
            within.from_s,
            within.to_s,
            earlier=((row.start_s, _window(row, bins)) for row in past.earlier),
            limits=self._limits,
            step_s=within.step_s,
            series_max=within.series_max,
            is_cancelled=is_cancelled,
        )
        return _shown(found)


def _shown(found: Backtest) -> PastEvaluation:
    return PastEvaluation(
        alerts=found.alerts,
        series=[
            PastSeries(
                dict(zip(found.group_by, group, strict=True)),
                [(at_s, None if each is None else format(each, "f")) for at_s, each in points],
            )
            for group, points in sorted(found.series.items())
        ],
        groups_left_out=found.groups_left_out,
        fault=found.fault,
        before=found.before,
    )


def _scored(past: Past) -> Iterator[PastPane]:
    """Yield scores by pane."""
    rows: Iterable[Any] = past.rows
    for start_s, of_pane in groupby(rows, lambda row: row.event_us // SECOND_US // PANE_S * PANE_S):
        yield PastPane(
            start_s,
            scores=[
                (row.event_us, change_with(change_of(row), _call(past, row))) for row in of_pane
            ],
        )


def _call(past: Past, score: ScoreRow) -> Call:
    """Return the fields of a scored observation."""
    row = past.calls.get((score.trace_id, score.observation_id))
    if row is None or row.is_deleted:
        return NO_CALL
    return Call(row.model, row.name, row.prompt_name, str(row.prompt_version or ""))


def _panes(past: Past, bins: str) -> Iterator[PastPane]:
    for start_s, of_pane in groupby(past.panes, lambda row: row.start_s):
        pane = PastPane(start_s)
        for row in of_pane:
            if past.source == "windows":
                pane.windows.append(_window(row, bins))
            else:
                pane.spend.append(_spend(row))
        yield pane


def _window(row: RulePane, bins: str) -> WindowDelta:
    key: Any = (row.start_s, *(row.dimensions.get(name, "") for name in _WINDOW_NAMES))
    change = new_window(key)
    change.observations = row.observations
    change.errors = row.errors
    change.cost_pico = pico_of(row.cost_usd)
    change.usage = row.usage
    change.error_types = row.error_types
    change.unpriced = row.unpriced
    change.cache_exact = row.cache_exact
    change.cache_semantic = row.cache_semantic
    change.cache_miss = row.cache_miss
    if bins and row.state_hex:
        setattr(change, bins, bins_of(bytes.fromhex(row.state_hex)))
    return change


def _spend(row: RulePane) -> SpendDelta:
    key: Any = (row.start_s, *(row.dimensions.get(name, "") for name in _SPEND_NAMES))
    tokens = (row.usage.get(side, 0) for side in ("input", "output", "total"))
    pico = pico_of(row.cost_usd)
    return new_spend(key, "", (pico, row.observations, row.errors, *tokens, row.unpriced))
