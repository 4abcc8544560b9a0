"""Write the query of the store that answers a logical query from a source."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from query_api.query.dimension import Dimension, Measure
from query_api.query.logical_query import LogicalQuery
from query_api.query.metric_sql import metrics_sql, without_summaries
from query_api.query.sources import rolled_conditions, rolled_up
from query_api.store.conditions import Condition
from query_api.store.joins import Join
from query_api.store.levels import Levels, levels_of
from query_api.store.queries.aggregates import Aggregate, FindSummaries, Rolled, Source
from query_api.store.reader import Reader
from query_api.times import SECOND_US


async def aggregate_of(reader: Reader, logical: LogicalQuery, source: Source) -> Aggregate:
    """Return the query of a source. Raises like ``Reader.rows``."""
    dimensions = [each.dimension for each in logical.group_by]
    measures = [each.measure for each in logical.metrics]
    conditions, rolled = logical.conditions, None
    if source == "windows":
        rolled = await _rolled(reader, logical, dimensions)
    if source == "windows" or source == "spend":  # noqa: PLR1714  # narrows the type
        conditions = rolled_conditions(conditions, source)
        names = tuple(rolled_up(each, source) for each in dimensions)
        joins: tuple[Join, ...] = ()
    else:
        names = tuple(each.sql for each in dimensions)
        joins = joins_of(dimensions, measures, conditions)
        if "summaries" in joins and not await _has_summaries(reader, logical.project_id):
            joins = tuple(each for each in joins if each != "summaries")
    written = metrics_sql(logical, source)
    if "summaries" not in joins:
        written = [without_summaries(sql) for sql in written]
    keys = _Keys()
    return Aggregate(
        logical.project_id,
        source,
        logical.from_us,
        logical.to_us,
        tuple(keys.numbered(sql, each.key) for sql, each in zip(names, dimensions, strict=True)),
        tuple(keys.numbered(sql, each.key) for sql, each in zip(written, measures, strict=True)),
        logical.runs,
        joins,
        conditions,
        rolled=rolled,
        has_full_rows=any(
            [each.is_full for each in dimensions] + [each.is_full for each in measures]
        ),
        keys=tuple(keys.found),
    )


async def _has_summaries(reader: Reader, project_id: str) -> bool:
    """Return whether a trace has an observation that repeats the usage of its descendants.

    Without one, the join with all traces is left out.
    """
    return bool(await reader.rows(FindSummaries(project_id), _Found))


class _Found(msgspec.Struct):
    found: int


async def _rolled(reader: Reader, logical: LogicalQuery, dimensions: Sequence[Dimension]) -> Rolled:
    from_s, to_s = logical.from_us // SECOND_US, logical.to_us // SECOND_US
    bounds_s = logical.bounds_s or (from_s, to_s)
    levels = await levels_of(reader, logical.project_id, from_s, to_s, bounds_s)
    columns = dict.fromkeys(["observation_count", "total_cost"])
    for metric in logical.metrics:
        measure = metric.measure
        is_sketch = metric.level is not None
        columns |= dict.fromkeys([measure.sketch] if is_sketch else measure.window_columns)
    group_by = tuple(dict.fromkeys(each.window for each in dimensions))
    return Rolled(levels or Levels(((from_s, to_s),)), tuple(columns), group_by)


def joins_of(
    dimensions: Sequence[Dimension],
    measures: Sequence[Measure],
    conditions: Sequence[Condition] = (),
) -> tuple[Join, ...]:
    """Return the joins that fields of rows need, each once."""
    found = [*(each.join for each in dimensions), *(each.join for each in measures)]
    found += [each.column.join for each in conditions]
    return tuple(dict.fromkeys(join for join in found if join is not None))


class _Keys:
    """Numbers the keys of fields, which ``Aggregate`` binds."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def numbered(self, sql: str, key: str) -> str:
        if "$key" not in sql:
            return sql
        if key not in self.found:
            self.found.append(key)
        return sql.replace("$key", f"${self.found.index(key)}$")
