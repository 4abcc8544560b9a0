"""Find the groups of a page from spend, so that observations of other traces need not be joined.

The join of observations with all traces is most of the cost of grouping them by users, sessions or
names of traces. If spend can rank the groups exactly, it is asked first which ones are on the page.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from query_api.query.fields import OBSERVATION_MEASURES
from query_api.query.logical_query import LogicalQuery, Metric
from query_api.query.plan import aggregate_of
from query_api.query.planned_query import PlannedQuery
from query_api.query.sources import choice_of
from query_api.store.conditions import Column, Condition, Kind
from query_api.store.queries.aggregates import Aggregate
from query_api.store.reader import Reader, Statistics

VALUES_BYTES_MAX: Final = 6_000
"""Maximum size of the values of groups in a query, whose parameters are in a URL."""
_OF_TRACE: Final = "t_"
"""Prefix of joined columns of traces."""


async def with_groups_of_page(
    reader: Reader, planned: PlannedQuery, statistics: Statistics
) -> tuple[PlannedQuery, int]:
    """Return the plan, in which only traces of the groups of the page are joined, if possible.

    The number is that of groups which the plan must find: if it finds fewer, observations of a
    group are not stored yet, and only the original plan has the whole page. What is read is added
    to ``statistics``. Raises like ``Reader.measured``.
    """
    ranked = await _ranked(reader, planned)
    if ranked is None:
        return planned, 0
    measured = await reader.measured(ranked)
    statistics.rows_read += measured.statistics.rows_read
    statistics.bytes_read += measured.statistics.bytes_read
    conditions = []
    for at, (_, dimension) in enumerate(planned.request.group_by):
        if dimension.join == "traces":
            values = tuple(sorted({str(row[f"d{at}"]) for row in measured.data}))
            column = Column(dimension.sql.removeprefix(_OF_TRACE), Kind.TEXT)
            conditions.append(Condition(column, "in", values))
    values_of = [each.value for each in conditions if isinstance(each.value, tuple)]
    size = sum(len(value.encode()) for values in values_of for value in values)
    # If there is no other page, spend may not have the newest groups yet, and joining fewer traces
    # saves nothing. Observations without a trace belong to the group without a value.
    is_last = len(measured.data) < planned.aggregate.limit
    if is_last or size > VALUES_BYTES_MAX or any("" in values for values in values_of):
        return planned, 0
    aggregate = replace(planned.aggregate, of_traces=tuple(conditions))
    return replace(planned, aggregate=aggregate), len(measured.data)


async def _ranked(reader: Reader, planned: PlannedQuery) -> Aggregate | None:
    """Return the query of spend for the groups of the page; None: it cannot rank them."""
    request, aggregate = planned.request, planned.aggregate
    is_page = request.step is None and aggregate.top is None
    are_joined = any(each.dimension.join == "traces" for each in request.group_by)
    if planned.choice.source != "observations" or not is_page or not are_joined:
        return None
    column, is_descending = planned.order
    metric = _COUNT
    if column.startswith("m"):
        metric = request.metrics[int(column[1:])]
        column = "m0"
    logical = replace(planned.logical, metrics=(metric,))
    if not _ranks_exactly(logical, metric):
        return None
    ranked = await aggregate_of(reader, logical, "spend")
    return replace(
        ranked,
        order=((column, is_descending),),
        limit=aggregate.limit,
        after=aggregate.after,
        is_never_empty=True,
    )


_COUNT: Final = Metric("count", OBSERVATION_MEASURES["count"], "count")


def _ranks_exactly(logical: LogicalQuery, metric: Metric) -> bool:
    """Return whether spend has all groups of a query, and equal values of the metric."""
    is_sum = metric.aggregation in {"sum", "count"}
    return is_sum and logical.is_spend_complete and choice_of(logical).source == "spend"
