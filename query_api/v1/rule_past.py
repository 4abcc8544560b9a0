"""Read what is stored of the past of an alert rule, for a backtest."""

from __future__ import annotations

from typing import Any, Final

from clickhouse.rows import ObservationRow, ScoreRow, TraceRow
from producers.alerting.metric import SCORE_SOURCES, Metric
from producers.alerting.registry import METRICS
from producers.alerting.scores import CALL_DIMENSIONS
from producers.alerting.validation import evaluation_fault
from producers.control.kinds.alert_rule import AlertRule
from query_api.alerting.backtests import Past, PastRange, RulePane
from query_api.context import AppContext
from query_api.errors import BadRequestError
from query_api.store.queries.observations import ReadObservations
from query_api.store.queries.rule_panes import RESOLUTION_S, ReadRulePanes, Source
from query_api.store.queries.rule_rows import ReadRuleRows, ReadRuleScores, RowSource
from query_api.store.rows import OBSERVATION_KEY
from query_api.times import SECOND_US
from query_api.v1.backtests import too_many_rows

PANE_S: Final = 10
"""Length of the panes in which rules are evaluated."""
SPAN_MAX_S: Final = 86_400
"""Rows that began longer before the range are not read."""
PARTS_MAX: Final = 24
"""Number of parts of the range that one query of earlier windows can cover."""
CALLS_MAX: Final = 1_000
"""Number of scored observations that one query reads."""
_SKETCHES: Final = frozenset({"latency_bins", "ttft_bins", "rate_bins"})
_ROWS: Final[dict[str, tuple[RowSource, type[Any]]]] = {
    "traces": ("traces", TraceRow),
    "observations": ("observations", ObservationRow),
}


def source_of(rule: AlertRule) -> str:
    """Return the source of a rule.

    Raises:
        BadRequestError: another version created it, and this one cannot evaluate it.
    """
    fault = evaluation_fault(rule)
    source = None if fault else METRICS[rule.metric].source_for((*rule.filter, *rule.group_by))
    if source is None:
        message = f"rule: {fault or 'it has no data'}"
        raise BadRequestError(message, field="rule")
    return source


def resolution_s(source: str) -> int:
    """Return the length of the stored sums of a source; 0 if single rows are compared."""
    if source in _ROWS:
        return 0
    return RESOLUTION_S["spend"] if source == "spend" else PANE_S


async def read_past(context: AppContext, rule: AlertRule, within: PastRange) -> Past:
    """Read what a rule compares; each query reads a part of the range.

    Raises:
        TooCostlyError: there are too many rows.
    """
    return await _Reading(context, rule, within).read()


class _Reading:
    """The reading of one rule, which counts the rows."""

    def __init__(self, context: AppContext, rule: AlertRule, within: PastRange) -> None:
        self._context = context
        self._rule = rule
        self._within = within
        self._metric: Metric = METRICS[rule.metric]
        self._filters = tuple(rule.filter.items())
        self._rows_left = context.settings.backtest_rows_max

    async def read(self) -> Past:
        past = Past(source_of(self._rule))
        begin_s = max(0, self._context.backtester.first_needed_s(self._rule, self._within.from_s))
        part_s = self._context.settings.backtest_part_s
        if past.source in _ROWS:
            past.rows = await self._rows(*_ROWS[past.source])
        elif past.source in SCORE_SOURCES:
            scores = past.rows = await self._scores(begin_s)
            if past.source == "scored_calls":
                past.calls = await self._calls(scores)
        else:
            source: Source = "spend" if past.source == "spend" else "windows"
            past.panes = await self._panes(source, begin_s, self._within.to_s, part_s)
        earlier = self._context.backtester.earlier_panes(self._rule, self._within)
        if earlier is not None:
            part_s *= min(PARTS_MAX, earlier.pane_s // PANE_S)
            part_s = max(1, part_s // earlier.pane_s) * earlier.pane_s
            for from_s, to_s in earlier.spans_s:
                past.earlier += await self._panes("windows", from_s, to_s, part_s, earlier.pane_s)
        return past

    async def _panes(
        self, source: Source, begin_s: int, end_s: int, part_s: int, pane_s: int = 0
    ) -> list[RulePane]:
        rule, metric = self._rule, self._metric
        known = metric.dimensions_of(source)
        used = tuple(dict.fromkeys((*rule.group_by, *metric.group, *rule.filter)))
        panes: list[RulePane] = []
        for from_s in range(begin_s, end_s, part_s):
            query = ReadRulePanes(
                rule.project_id,
                from_s,
                min(from_s + part_s, end_s),
                source,
                tuple(name for name in used if name in known),
                tuple((name, values) for name, values in self._filters if name in known),
                metric.of[0] if metric.of[0] in _SKETCHES else "",
                self._rows_left + 1,
                pane_s,
            )
            panes += self._counted(await self._context.reader.rows(query, RulePane))
        return panes

    async def _rows(self, source: RowSource, row_type: type[Any]) -> list[Any]:
        rule, part_us = self._rule, self._context.settings.backtest_part_s * SECOND_US
        rows: list[Any] = []
        end_us = self._within.to_s * SECOND_US
        for from_us in range(self._within.from_s * SECOND_US, end_us, part_us):
            query = ReadRuleRows(
                rule.project_id,
                from_us,
                min(from_us + part_us, end_us),
                source,
                max(0, from_us - SPAN_MAX_S * SECOND_US),
                rule.comparison,
                rule.threshold,
                self._filters,
                rule.filter.get("usage_type", ()),
                self._rows_left + 1,
            )
            rows += self._counted(await self._context.reader.rows(query, row_type))
        return rows

    async def _scores(self, begin_s: int) -> list[ScoreRow]:
        query = ReadRuleScores(
            self._rule.project_id,
            begin_s * SECOND_US,
            self._within.to_s * SECOND_US,
            self._filters,
            self._rows_left + 1,
        )
        return self._counted(await self._context.reader.rows(query, ScoreRow))

    async def _calls(self, scores: list[ScoreRow]) -> dict[tuple[str, str], ObservationRow]:
        """Return the scored observations."""
        wanted = sorted(
            {(each.trace_id, each.observation_id) for each in scores if each.observation_id}
        )
        found: dict[tuple[str, str], ObservationRow] = {}
        for first in range(0, len(wanted), CALLS_MAX):
            part = wanted[first : first + CALLS_MAX]
            query = ReadObservations(
                self._rule.project_id,
                tuple(dict.fromkeys(trace_id for trace_id, _ in part)),
                tuple(dict.fromkeys(observation_id for _, observation_id in part)),
                columns=(*OBSERVATION_KEY, *CALL_DIMENSIONS),
            )
            rows = await self._context.reader.rows(query, ObservationRow)
            found.update(((row.trace_id, row.id), row) for row in rows)
        return found

    def _counted(self, rows: list[Any]) -> list[Any]:
        self._rows_left -= len(rows)
        if self._rows_left < 0:
            raise too_many_rows(self._context)
        return rows
