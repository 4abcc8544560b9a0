"""Write the SQL of metrics over the rows of a group."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from clickhouse import percentiles
from query_api.query.dimension import Measure
from query_api.query.logical_query import LogicalQuery, Metric
from query_api.store.queries.aggregates import Source

LOWEST_BUCKET: Final = 1e-9
"""Values below are counted in the bucket of this one."""


def is_sketched(logical: LogicalQuery, metric: Metric) -> bool:
    """Return whether a percentile is computed from a sketch, like those that rollups have."""
    return bool(metric.measure.sketch) and not logical.are_percentiles_exact


def metrics_sql(logical: LogicalQuery, source: Source) -> list[str]:
    """Return the SQL of each metric; percentiles of a measure share one sketch."""
    levels: dict[Measure, list[float]] = {}
    for metric in logical.metrics:
        if metric.level is not None:
            of_measure = levels.setdefault(metric.measure, [])
            if metric.level not in of_measure:
                of_measure.append(metric.level)
    return [
        _percentile(logical, source, metric, levels[metric.measure])
        if metric.level is not None
        else _of_rollup(logical, source, metric)
        if source in {"windows", "spend"}
        else _of_rows(logical, metric)
        for metric in logical.metrics
    ]


def without_summaries(sql: str) -> str:
    """Return the SQL of a measure for rows of which none is a summary."""
    return _SUMMARY_ID.sub("''", _SUMMARY_COUNTS.sub(_NO_COUNTS, sql))


_SUMMARY_ID: Final = re.compile(r"\bs_id\b")
_SUMMARY_COUNTS: Final = re.compile(r"\bs_counted\b")
_NO_COUNTS: Final = "CAST(map(), 'Map(String, Int64)')"


def _percentile(
    logical: LogicalQuery, source: Source, metric: Metric, levels: Sequence[float]
) -> str:
    measure = metric.measure
    assert metric.level is not None
    if not is_sketched(logical, metric):
        return percentiles.exact(f"toFloat64({measure.sql})", metric.level)
    if source == "windows":
        sketch = percentiles.of_merged(measure.sketch, levels)
    else:
        sketch = percentiles.of_rows(f"{measure.sql} * {measure.sketch_factor}", levels)
    found = f"{sketch}[{levels.index(metric.level) + 1}]"
    return f"if(isNaN({found}), NULL, {found} / {measure.sketch_factor})"


def _of_rollup(logical: LogicalQuery, source: Source, metric: Metric) -> str:
    measure = metric.measure
    of_spend = measure.spend or measure.spend_count or measure.spend_unpriced
    total = measure.windows if source == "windows" else of_spend
    if metric.aggregation == "avg":
        total = f"{total} / greatest(sum(observation_count), 1)"
    return _money(total, logical, measure)


def _of_rows(logical: LogicalQuery, metric: Metric) -> str:
    measure, sql, number = metric.measure, metric.measure.sql, f"toFloat64({metric.measure.sql})"
    if metric.aggregation == "uniq" or measure.is_text:
        return f"toInt64(uniqExact({sql}))"
    if metric.aggregation == "avg" and measure.unit == "money" and logical.is_money_exact:
        return f"sum({sql}) / greatest(count(), 1)"
    bucket = f"toInt32(floor(log2(greatest(assumeNotNull({number}), {LOWEST_BUCKET})) * 2))"
    written = {
        "count": f"toInt64(count({sql}))",
        "avg": f"avg({number})",
        "histogram": f"histogram({int(metric.bins)})({number})",
        "heatmap": f"sumMapIf(map({bucket}, toInt64(1)), isNotNull({sql}))",
    }
    if measure.unit == "counts":
        written["sum"] = f"sumMap({sql})"
    plain = f"{metric.aggregation}({sql})"
    return written.get(metric.aggregation) or _money(plain, logical, measure)


def _money(sql: str, logical: LogicalQuery, measure: Measure) -> str:
    if measure.unit != "money":
        return sql
    return sql if logical.is_money_exact else f"toFloat64({sql})"
