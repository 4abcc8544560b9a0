"""Query earlier windows from the store, for rules that compare with them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from clickhouse.store import Store
from producers.dimensions.registry import REGISTRY
from streams.alerting import metrics
from streams.alerting.store_reader import FAILURES, StoreReader, count_failure
from streams.core.alerting.rules.earlier import EarlierQuery
from streams.core.alerting.rules.measures import Measure
from streams.core.alerting.rules.panes import Group, Pane
from streams.core.rollups.sketch import bins_of

_COLUMNS: Final = {
    "observations": "observation_count",
    "errors": "error_count",
    "cost_pico": "toInt128(total_cost * 1000000000000)",
    "unpriced": "unpriced_count",
    "cache_exact": "cache_exact_count",
    "cache_semantic": "cache_semantic_count",
    "cache_miss": "cache_miss_count",
}
"""Columns of ``windows`` by the field of changes."""
_STATES: Final = {
    "latency_bins": "latency_state",
    "ttft_bins": "ttft_state",
    "rate_bins": "rate_state",
}
_DIMENSIONS: Final = frozenset(each.name for each in REGISTRY.of_windows())


class EarlierReader(StoreReader):
    """A task that keeps the earlier values of a partition's rules up to date.

    While the store does not answer, the rules are incomplete, and the others are not affected.
    """

    async def run(self) -> None:
        """Query what is missing or outdated, until cancelled."""
        while self._store is not None:
            for evaluator, query in self._evaluation.earlier_wanted(self._now_us()):
                try:
                    found = await self._read(self._store, query)
                    evaluator.earlier_found(query, found)
                except ValueError as error:  # the other rules are not affected
                    _failed(query, error)
                except FAILURES as error:
                    _failed(query, error)
                    break  # the store is probably down; do not ask again at once
            await asyncio.sleep(self._settings.earlier_interval_s)

    async def _read(self, store: Store, query: EarlierQuery) -> dict[Group, list[Pane]]:
        """Return the sums of each earlier window, by group."""
        found: dict[Group, list[Pane]] = {}
        sql, params = _sql(query, self._settings.rule_groups_max)
        for start_s, end_s in query.spans_s:
            rows = await store.query(sql, {**params, "start": start_s, "end": end_s})
            if len(rows) >= self._settings.rule_groups_max:
                metrics.LIMIT_REACHED.labels("rule_groups_max").inc()
            for row in rows:
                group = tuple(row[name] for name in query.key.group_by)
                sums = [int(row[f"sum_{index}"]) for index in range(len(query.key.measures))]
                bins = bins_of(bytes.fromhex(row["state"])) if query.key.bins else {}
                found.setdefault(group, []).append(Pane(sums, bins))
        return found


def _failed(query: EarlierQuery, error: Exception) -> None:
    count_failure("earlier_windows_unknown", error, rule=query.rule_id)


def _sql(query: EarlierQuery, groups_max: int) -> tuple[str, dict[str, Any]]:
    """Return the query of a span and its parameters.

    Raises:
        ValueError: the rule compares something that the table ``windows`` does not have.
    """
    key = query.key
    names = {*key.group_by, *(name for name, _ in key.filter)}
    if key.source != "windows" or not names <= _DIMENSIONS:
        raise ValueError(f"rule {query.rule_id}: its earlier values are not stored")
    params: dict[str, Any] = {"project": query.project_id, "groups_max": groups_max}
    selected = [*key.group_by]
    for index, measure in enumerate(key.measures):
        selected.append(f"sum({_column(measure, index, params)}) AS sum_{index}")
    if key.bins:
        state = _STATES[key.bins]
        selected.append(f"hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)({state})) AS state")
    conditions = [
        "project_id = {project:String}",
        "window_start >= toDateTime({start:UInt32}, 'UTC')",
        "window_start < toDateTime({end:UInt32}, 'UTC')",
    ]
    for name, values in key.filter:
        params[f"of_{name}"] = list(values)
        conditions.append(f"{name} IN {{of_{name}:Array(String)}}")
    grouped = f"GROUP BY {', '.join(key.group_by)}" if key.group_by else ""
    sql = (
        f"SELECT {', '.join(selected)} FROM windows FINAL WHERE {' AND '.join(conditions)}"  # noqa: S608  # names of the registry
        f" {grouped} HAVING sum(observation_count) > 0 LIMIT {{groups_max:UInt32}}"
    )
    return sql, params


def _column(measure: Measure, index: int, params: dict[str, Any]) -> str:
    if measure.field in _COLUMNS:
        return _COLUMNS[measure.field]
    if measure.field not in ("usage", "error_types"):
        raise ValueError(f"{measure.field} is not stored")
    if not measure.keys:
        return f"arraySum(mapValues({measure.field}))"
    params[f"keys_{index}"] = list(measure.keys)
    wanted = f"{{keys_{index}:Array(String)}}"
    return f"arraySum(mapValues(mapFilter((k, v) -> has({wanted}, k), {measure.field})))"
