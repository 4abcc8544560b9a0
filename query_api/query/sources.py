"""Choose the cheapest source that answers a query exactly, and explain the choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from query_api.query.dimension import Dimension
from query_api.query.fields import OBSERVATION_DIMENSIONS
from query_api.query.logical_query import LogicalQuery, Metric
from query_api.query.native_filters import FIELDS
from query_api.store.conditions import Column, Condition, Kind
from query_api.store.queries.aggregates import Source
from query_api.store.queries.windows import WINDOW_COLUMNS
from query_api.times import SECOND_US

WINDOW_S: Final = 10
BUCKET_S: Final = 900
RollupSource = Literal["windows", "spend"]
_LENGTH_S: Final[Mapping[RollupSource, int]] = MappingProxyType(
    {"windows": WINDOW_S, "spend": BUCKET_S}
)


class Choice(NamedTuple):
    """The source that answers a query, and why cheaper ones cannot."""

    source: Source
    excluded: Mapping[str, tuple[str, ...]]


def choice_of(logical: LogicalQuery) -> Choice:
    """Return the source of a query.

    ``windows`` includes its rollups by hour and day. ``spend`` has users, sessions and names of
    traces. Its rows from before a migration have neither counts nor most dimensions.
    """
    if logical.view != "observations":
        return Choice(logical.view, {})
    excluded: dict[str, tuple[str, ...]] = {}
    for source in _LENGTH_S:
        reasons = (*_unaligned(logical, source), *_missing(logical, source))
        if not reasons:
            return Choice(source, excluded)
        excluded[source] = reasons
    return Choice("observations", excluded)


def _unaligned(logical: LogicalQuery, source: RollupSource) -> Iterator[str]:
    length_s = _LENGTH_S[source]
    times_us = (logical.from_us, logical.to_us)
    if any(at_us % (length_s * SECOND_US) for at_us in times_us):
        yield f"from and to must be multiples of {length_s} s"
    if any(at_s % length_s for at_s in logical.bounds_s[1:-1]):
        yield f"steps must begin at multiples of {length_s} s"


def _missing(logical: LogicalQuery, source: RollupSource) -> Iterator[str]:
    for name, dimension in logical.group_by:
        column = rolled_up(dimension, source)
        if not column:
            yield f"group_by: it does not have {name}"
        elif not _has_column(logical, source, column):
            yield f"group_by: rows from before an upgrade do not have {name}"
    has = _in_windows if source == "windows" else _in_spend
    for metric in logical.metrics:
        if not has(logical, metric):
            yield f"measures: it does not have {metric.name}"
    for condition in logical.conditions:
        rolled = rolled_column(condition.column, source)
        if rolled is None or not _has_column(logical, source, rolled.sql):
            yield f"filters: it does not have {_name_of(condition.column)}"


def _name_of(column: Column) -> str:
    """Return the name of a field of filters; the SQL of a column that has none."""
    fields = FIELDS["observations"].items()
    return next((name for name, each in fields if each == column), column.sql)


def _has_column(logical: LogicalQuery, source: RollupSource, column: str) -> bool:
    return source == "windows" or logical.is_spend_complete or column in _FIRST_OF_SPEND


_FIRST_OF_SPEND: Final = frozenset({"user_id", "model", "environment"})
"""Dimensions that all rows of spend have."""


def rolled_up(dimension: Dimension, source: RollupSource) -> str:
    """Return the column of a rollup with a dimension; empty: there is none."""
    return dimension.window if source == "windows" else dimension.spend


def rolled_column(column: Column, source: RollupSource) -> Column | None:
    """Return the column of a rollup with the same value; None: there is none."""
    if column.kind is not Kind.TEXT:
        return None
    name = _COLUMNS[source].get(_sql_of(column), "")
    return Column(name, Kind.TEXT) if name else None


def rolled_conditions(
    conditions: tuple[Condition, ...], source: RollupSource
) -> tuple[Condition, ...]:
    """Return conditions on the columns of a rollup, which must have all of them."""
    found = []
    for each in conditions:
        column = rolled_column(each.column, source)
        assert column is not None
        found.append(Condition(column, each.operator, each.value, each.key))
    return tuple(found)


def _sql_of(column: Column) -> str:
    """Return the SQL of the dimension with the value of a column."""
    return f"t_{column.sql}" if column.of_trace else column.sql


def _in_windows(logical: LogicalQuery, metric: Metric) -> bool:
    measure = metric.measure
    if metric.aggregation == "count" and measure.is_count:
        return True
    if metric.aggregation == "sum":
        return bool(measure.windows)
    if metric.aggregation == "avg":
        return bool(measure.windows) and measure.is_always_set
    is_percentile = metric.level is not None
    return is_percentile and bool(measure.sketch) and not logical.are_percentiles_exact


def _in_spend(logical: LogicalQuery, metric: Metric) -> bool:
    measure = metric.measure
    if metric.aggregation == "avg":
        return bool(measure.spend) and measure.is_always_set and logical.is_spend_complete
    if metric.aggregation not in {"sum", "count"}:
        return False
    return bool(
        measure.spend
        or (measure.spend_count and logical.is_spend_complete)
        or (measure.spend_unpriced and logical.has_spend_unpriced)
    )


def _columns_of(rolled: Callable[[Dimension], str]) -> Mapping[str, str]:
    return {each.sql: rolled(each) for each in OBSERVATION_DIMENSIONS.values() if rolled(each)}


_COLUMNS: Final[Mapping[RollupSource, Mapping[str, str]]] = MappingProxyType(
    {
        "windows": {
            **{name: name for name in WINDOW_COLUMNS},
            **_columns_of(lambda each: each.window),
        },
        "spend": _columns_of(lambda each: each.spend),
    }
)
"""For each rollup: columns by the SQL of the same value in rows."""
