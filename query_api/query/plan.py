"""Choose the source of a query, and write its SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from query_api.query.fields import DIMENSIONS, MEASURES, Dimension, Measure, View
from query_api.store.conditions import Condition, Kind
from query_api.store.levels import Levels, levels_of
from query_api.store.queries.aggregates import Aggregate, Join, Rolled, Source
from query_api.store.queries.windows import WINDOW_COLUMNS
from query_api.store.reader import Reader
from query_api.store.steps import Runs
from query_api.times import SECOND_US

WINDOW_S: Final = 10
BUCKET_S: Final = 900
PERCENTILE_ERROR: Final = 0.01
"""Maximum relative error of percentiles from sketches."""
_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,2})?)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure with an aggregation.

    Aggregations are ``sum``, ``avg``, ``count``, ``min``, ``max``, ``uniq``, ``p`` with a
    percentage, ``histogram`` and ``heatmap``.
    """

    measure: str
    aggregation: str
    bins: int = 10


@dataclass(frozen=True, slots=True)
class Question:
    """An aggregate query, independent of its source; ``bounds_s`` are the bounds of the steps."""

    project_id: str
    view: View
    from_us: int
    to_us: int
    dimensions: tuple[str, ...]
    metrics: tuple[Metric, ...]
    conditions: tuple[Condition, ...] = ()
    bounds_s: tuple[int, ...] = ()
    runs: Runs | None = None
    is_money_exact: bool = False
    """Whether money is a decimal; otherwise a double."""
    are_percentiles_exact: bool = False
    """Whether percentiles are computed from observations, and not from sketches."""


def source_of(question: Question) -> Source:
    """Return the cheapest source that answers exactly."""
    if question.view != "observations":
        return question.view
    for source, length_s in (("windows", WINDOW_S), ("spend", BUCKET_S)):
        bounds_s = [*question.bounds_s[1:-1]]
        ends = (question.from_us, question.to_us)
        is_aligned = not any(at_us % (length_s * SECOND_US) for at_us in ends) and not any(
            at_s % length_s for at_s in bounds_s
        )
        fits = _fits_windows if source == "windows" else _fits_spend
        if is_aligned and fits(question):
            return source  # type: ignore[return-value]  # a name of the tuple above
    return "observations"


def _fits_windows(question: Question) -> bool:
    return (
        all(DIMENSIONS["observations"][each].window for each in question.dimensions)
        and all(_in_windows(question, each) for each in question.metrics)
        and all(
            each.column.kind is Kind.TEXT
            and not each.column.of_trace
            and each.column.sql in WINDOW_COLUMNS
            for each in question.conditions
        )
    )


def _in_windows(question: Question, metric: Metric) -> bool:
    measure = MEASURES["observations"][metric.measure]
    if metric.aggregation == "count" and measure.is_count:
        return True
    if metric.aggregation == "sum":
        return bool(measure.windows)
    is_percentile = _PERCENTILE.match(metric.aggregation) is not None
    return is_percentile and bool(measure.sketch) and not question.are_percentiles_exact


def _fits_spend(question: Question) -> bool:
    return (
        all(DIMENSIONS["observations"][each].spend for each in question.dimensions)
        and all(
            each.aggregation == "sum" and MEASURES["observations"][each.measure].spend
            for each in question.metrics
        )
        and not question.conditions
    )


async def aggregate_of(reader: Reader, question: Question, source: Source) -> Aggregate:
    """Return the query of a source. Raises like ``Reader.rows``."""
    dimensions = [DIMENSIONS[question.view][each] for each in question.dimensions]
    measures = [MEASURES[question.view][each.measure] for each in question.metrics]
    rolled = None
    if source == "windows":
        from_s, to_s = question.from_us // SECOND_US, question.to_us // SECOND_US
        bounds_s = question.bounds_s or (from_s, to_s)
        levels = await levels_of(reader, question.project_id, from_s, to_s, bounds_s)
        levels = levels or Levels(((from_s, to_s),))
        columns = dict.fromkeys(["observation_count", "total_cost"])
        for measure, metric in zip(measures, question.metrics, strict=True):
            is_sketch = _PERCENTILE.match(metric.aggregation)
            columns |= dict.fromkeys([measure.sketch] if is_sketch else measure.window_columns)
        group_by = tuple(dict.fromkeys(each.window for each in dimensions))
        rolled = Rolled(levels, tuple(columns), group_by)
    return Aggregate(
        question.project_id,
        source,
        question.from_us,
        question.to_us,
        tuple(_dimension_sql(each, source) for each in dimensions),
        tuple(metric_sql(question, source, each) for each in question.metrics),
        question.runs,
        joins_of(dimensions, measures, source),
        question.conditions,
        rolled=rolled,
    )


def joins_of(
    dimensions: Sequence[Dimension], measures: Sequence[Measure], source: Source
) -> tuple[Join, ...]:
    """Return the joins that fields need in a source, each once."""
    if source in {"windows", "spend"}:
        return ()
    found = [*(each.join for each in dimensions), *(each.join for each in measures)]
    return tuple(dict.fromkeys(join for join in found if join is not None))


def _dimension_sql(dimension: Dimension, source: Source) -> str:
    match source:
        case "windows":
            return dimension.window
        case "spend":
            return dimension.spend
        case _:
            return dimension.sql


def metric_sql(question: Question, source: Source, metric: Metric) -> str:
    """Return the SQL of a metric over the rows of a group."""
    measure = MEASURES[question.view][metric.measure]
    percentile = _PERCENTILE.match(metric.aggregation)
    level = 0 if percentile is None else float(percentile[1]) / 100
    if source in {"windows", "spend"}:
        if percentile is not None:
            merged = f"quantilesDDMerge({PERCENTILE_ERROR}, {level:g})({measure.sketch})[1]"
            return f"{merged} / {measure.sketch_factor}"
        return _money(measure.windows if source == "windows" else measure.spend, question, measure)
    if percentile is not None:
        return f"quantile({level:g})({measure.sql})"
    return _of_rows(question, measure, metric)


def _of_rows(question: Question, measure: Measure, metric: Metric) -> str:
    sql = measure.sql
    aggregation = "uniq" if measure.is_text else metric.aggregation
    match aggregation:
        case "count" | "uniq":
            function = "count" if aggregation == "count" else "uniqExact"
            return f"toInt64({function}({sql}))"
        case "avg":
            return f"avg(toFloat64({sql}))"
        case "histogram":
            return f"histogram({int(metric.bins)})(toFloat64({sql}))"
        case "heatmap":
            bucket = f"toInt32(floor(log2(greatest(assumeNotNull({sql}), 0.001)) * 2))"
            return f"sumMapIf(map({bucket}, toInt64(1)), isNotNull({sql}))"
        case _:
            return _money(f"{aggregation}({sql})", question, measure)


def _money(sql: str, question: Question, measure: Measure) -> str:
    if measure.unit != "money":
        return sql
    return sql if question.is_money_exact else f"toFloat64({sql})"
