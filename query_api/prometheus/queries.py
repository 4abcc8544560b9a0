"""Query the totals, recent calls, budgets and alerts of a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from query_api.store.levels import SKETCH_ROWS_MAX, Levels, level_rows_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

BUCKETS_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of latencies, in seconds; values above are in a last one."""
_COLUMNS: Final = (
    *("observation_count", "error_count", "total_cost", "usage", "latency_state"),
    "unpriced_count",
)


class ModelTotals(msgspec.Struct, kw_only=True):
    """Totals of a model since the first event of the project."""

    model: str
    count: int
    errors: int
    cost_usd: float
    unpriced: int
    tokens: dict[str, int]
    latency_state: str
    """Hex of a sketch in microseconds."""


@dataclass(frozen=True, slots=True)
class SumModels(StoreQuery):
    """Select ``ModelTotals``, those with most calls first."""

    name: ClassVar[str] = "sum_models"
    block_rows_max: ClassVar[int] = SKETCH_ROWS_MAX
    levels: Levels

    def write(self, binder: Binder) -> str:
        return (
            "SELECT model, sum(observation_count) AS count, sum(error_count) AS errors,\n"
            "  toFloat64(sum(total_cost)) AS cost_usd, toInt64(sum(unpriced_count)) AS unpriced,\n"
            "  sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens,\n"
            "  hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(latency_state)) AS latency_state\n"
            f"FROM {level_rows_sql(self.levels, _COLUMNS, ('model',), (), binder)}\n"
            "WHERE model != ''\nGROUP BY model\nHAVING count > 0\nORDER BY count DESC, model"
        )


class RecentCalls(msgspec.Struct, kw_only=True):
    """Calls of a model that began lately and run, or ended with a latency in one bucket."""

    model: str
    bucket: int
    """Index into ``BUCKETS_S``, or after its end; -1 for calls that run."""
    count: int
    trace_id: str
    """Trace of the latest one."""
    latency_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class FindRecentCalls(StoreQuery):
    """Select ``RecentCalls`` since a time in microseconds."""

    name: ClassVar[str] = "find_recent_calls"
    since_us: int

    def write(self, binder: Binder) -> str:
        bounds = ", ".join(map(str, BUCKETS_S))
        return (
            "WITH toUnixTimestamp64Micro(started) AS started_us,\n"
            "  toUnixTimestamp64Micro(ended) AS ended_us,\n"
            "  (ended_us - started_us) / 1e6 AS latency\n"
            "SELECT model,\n"
            f"  if(ended_us = 0, -1, arrayCount(bound -> latency > bound, [{bounds}])) AS bucket,\n"
            "  count() AS count, argMax(trace_id, ended) AS trace_id,\n"
            "  argMax(latency, ended) AS latency_s, max(ended_us) / 1e6 AS ended_s\n"
            "FROM (\n"
            "  SELECT trace_id, id, argMax(observations_slim.model, row_version) AS model,\n"
            "    argMax(start_time, row_version) AS started,\n"
            "    argMax(end_time, row_version) AS ended,\n"
            "    argMax(is_deleted, row_version) AS is_gone\n"
            f"  FROM observations_slim\n  WHERE {OF_PROJECT}\n"
            f"    AND start_time >= {binder.instant(self.since_us)}\n"
            "  GROUP BY trace_id, id\n"
            ")\n"
            "WHERE model != '' AND is_gone = 0\nGROUP BY model, bucket\nORDER BY model, bucket"
        )


class BudgetGroup(msgspec.Struct, kw_only=True):
    """The spend of a group of a budget in the current period."""

    budget_id: str
    limit_name: str
    period: str
    group: str
    """JSON object."""
    spent_usd: float
    limit_usd: float


@dataclass(frozen=True, slots=True)
class FindBudgetGroups(StoreQuery):
    """Select ``BudgetGroup`` rows, those with the largest share of their limit first."""

    name: ClassVar[str] = "find_budget_gauges"
    at_us: int
    budget_ids: tuple[str, ...]
    limit: int

    def write(self, binder: Binder) -> str:
        at = binder.instant(self.at_us)
        return (
            "SELECT budget_id, limit_name, period, `group`,\n"
            "  toFloat64(budget_states.spent) AS spent_usd,\n"
            "  toFloat64(budget_states.limit_usd) AS limit_usd\n"
            f"FROM budget_states FINAL\nWHERE {OF_PROJECT}\n"
            f"  AND budget_id IN {binder.texts(self.budget_ids)}\n"
            f"  AND period_start_time <= {at}\n"
            f"  AND (period_end_time > {at} OR toUnixTimestamp64Micro(period_end_time) = 0)\n"
            "  AND `group` != ''\n"
            "ORDER BY if(limit_usd > 0, spent_usd / limit_usd, 0) DESC, budget_id, limit_name,"
            f" `group`\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )


class FiringRule(msgspec.Struct, kw_only=True):
    """The number of groups of a rule that fire."""

    rule_id: str
    severity: str
    count: int


@dataclass(frozen=True, slots=True)
class CountFiring(StoreQuery):
    """Select ``FiringRule`` rows, those with most groups first."""

    name: ClassVar[str] = "count_firing"
    limit: int

    def write(self, binder: Binder) -> str:
        return (
            "SELECT rule_id, severity, count() AS count\n"
            f"FROM alert_states FINAL\nWHERE {OF_PROJECT}\n"
            "  AND state IN ('firing', 'recovering')\n"
            "GROUP BY rule_id, severity\nORDER BY count DESC, rule_id, severity\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
