"""Query what versions of a prompt cost, how long they took, and how they were scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from clickhouse.percentiles import level_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

_LEVELS: Final = ", ".join(map(level_sql, (0.5, 0.95, 0.99)))


@dataclass(frozen=True, slots=True)
class FindPromptUsage(StoreQuery):
    """Select calls, errors, cost, latency and tokens of versions of a prompt.

    The sums of values and of squares are exact integers, so they do not depend on the order of
    rows: picodollars of calls with a known cost, and microseconds of calls that have ended.
    """

    name: ClassVar[str] = "find_prompt_usage"
    prompt: str = ""
    versions: tuple[int, ...] = ()
    from_us: int = 0
    to_us: int = 0

    def write(self, binder: Binder) -> str:
        return (
            "WITH\n"
            "  toInt256(toInt128(total_cost * 1000000000000)) AS pico,\n"
            "  cost_source NOT IN ('none', 'unpriced') OR total_cost != 0 AS is_priced,\n"
            "  toInt256(toUnixTimestamp64Micro(end_time) - toUnixTimestamp64Micro(start_time))"
            " AS latency_us,\n"
            "  end_time >= start_time AS is_ended\n"
            "SELECT prompt_version AS version,\n"
            "  count() AS calls,\n"
            "  countIf(level = 'ERROR') AS errors,\n"
            "  countIf(is_priced) AS priced,\n"
            "  toString(sumIf(pico, is_priced)) AS cost_sum,\n"
            "  toString(sumIf(pico * pico, is_priced)) AS cost_squares,\n"
            "  countIf(is_ended) AS ended,\n"
            "  toString(sumIf(latency_us, is_ended)) AS latency_sum,\n"
            "  toString(sumIf(latency_us * latency_us, is_ended)) AS latency_squares,\n"
            f"  quantilesExactIf({_LEVELS})(toInt64(latency_us), is_ended)"
            " AS latency_quantiles_us,\n"
            "  sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens\n"
            f"{_calls(self, binder)}"
            "GROUP BY prompt_version"
        )


@dataclass(frozen=True, slots=True)
class FindPromptScores(StoreQuery):
    """Select the scores of the calls of versions of a prompt, by version and name.

    A score of a trace counts for the version that the trace used, if it used only one of them.
    Values are summed in ascending order, so the result does not depend on the order of rows.
    """

    name: ClassVar[str] = "find_prompt_scores"
    prompt: str = ""
    versions: tuple[int, ...] = ()
    from_us: int = 0
    to_us: int = 0

    def write(self, binder: Binder) -> str:
        calls = _calls(self, binder)
        return (
            "SELECT version, name, data_type,\n"
            "  length(sorted) AS count,\n"
            "  countEqual(arrayMap(x -> x != 0, sorted), 1) AS hits,\n"
            "  arraySum(sorted) / count AS mean,\n"
            "  if(count > 1, arraySum(x -> (x - mean) * (x - mean), sorted) / (count - 1), 0)"
            " AS variance\n"
            "FROM (\n"
            "SELECT version, name, data_type,\n"
            "  arraySort(groupArray(assumeNotNull(value))) AS sorted\n"
            "FROM (\n"
            "SELECT trace_id, observation_id, name, data_type, value\n"
            f"FROM scores FINAL\nWHERE {OF_PROJECT}\n"
            f"  AND trace_id IN (\nSELECT trace_id {calls})\n"
            "  AND data_type IN ('NUMERIC', 'BOOLEAN') AND isNotNull(value)\n"
            ") AS given\n"
            "INNER JOIN (\n"
            "SELECT trace_id, target.1 AS observation_id, target.2 AS version\n"
            "FROM (\n"
            "SELECT trace_id, groupArray((id, prompt_version)) AS calls,\n"
            "  uniqExact(prompt_version) AS different\n"
            f"{calls}"
            "GROUP BY trace_id\n"
            ")\n"
            "ARRAY JOIN arrayConcat(calls,"
            " if(different = 1, [('', calls[1].2)], [])) AS target\n"
            ") AS targets USING (trace_id, observation_id)\n"
            "GROUP BY version, name, data_type\n"
            ")\n"
            "ORDER BY name, data_type, version"
        )


def _calls(query: FindPromptUsage | FindPromptScores, binder: Binder) -> str:
    """Return the end of a query of the calls."""
    return (
        f"FROM observations_slim FINAL\nWHERE {OF_PROJECT}\n"
        f"  AND start_time >= {binder.instant(query.from_us)}\n"
        f"  AND start_time < {binder.instant(query.to_us)}\n"
        f"  AND prompt_name = {binder.text(query.prompt)}\n"
        f"  AND prompt_version IN {binder.bind(list(query.versions), 'Array(Int32)')}\n"
    )
