"""Plan a request: its periods, its source, and its query of the store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec

from clickhouse.percentiles import RELATIVE_ERROR
from query_api import cursors
from query_api.errors import BadRequestError
from query_api.query.engine import QueryEngine
from query_api.query.logical_query import LogicalQuery
from query_api.query.metric_sql import is_sketched
from query_api.query.periods import Period, earlier, period_of
from query_api.query.plan import aggregate_of
from query_api.query.request import QueryRequest, earlier_fits, is_additive, is_number, range_s
from query_api.query.sources import Choice, choice_of
from query_api.store.queries.aggregates import After, Aggregate, KeyType, Ranking
from query_api.times import SECOND_US

START: Final = "start"
START_COLUMN: Final = "start_s"
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**33)]


class QueryCursor(msgspec.Struct):
    """The end of a page, and the range of the query, which does not move between pages."""

    digest: str
    from_s: _Seconds
    to_s: _Seconds
    value: _Int64 | float | str | None
    keys: list[str | _Int64]


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A request with its plan."""

    request: QueryRequest
    period: Period
    logical: LogicalQuery
    choice: Choice
    aggregate: Aggregate
    """The query of the store for the page."""
    order: tuple[str, bool]
    """Selected column, and whether it is descending."""
    cursor: QueryCursor | None


async def plan_query(engine: QueryEngine, request: QueryRequest) -> PlannedQuery:
    """Plan a request.

    Raises:
        BadRequestError: the cursor is of another query, the order is unknown, or no source has all
            measures, dimensions and filters together.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    order = order_of(request)
    cursor = _cursor_of(request)
    if cursor is not None:
        times_us = (cursor.from_s * SECOND_US, cursor.to_s * SECOND_US)
        from_s, to_s = range_s(*times_us, request.step, engine.settings)
        request = replace(request, from_s=from_s, to_s=to_s)
    period = period_of(request.from_s, request.to_s, request.step, request.time_zone)
    logical, choice, planned = await _planned(engine, request, period)
    aggregate = replace(planned, order=(order,), limit=request.limit + 1)
    if request.is_series:
        aggregate = replace(aggregate, order=((START_COLUMN, False),), limit=len(period.bounds_s))
    elif request.top is not None:
        top = Ranking(request.top, _rank_sql(request, aggregate))
        are_sums = all(map(is_additive, request.metrics))
        limit = engine.settings.window_rows_max + 1
        aggregate = replace(aggregate, top=top, are_sums=are_sums, limit=limit)
    elif cursor is not None:
        after = After(cursor.value, _type_of(cursor, request, order[0]), tuple(cursor.keys))
        aggregate = replace(aggregate, after=after)
    return PlannedQuery(request, period, logical, choice, aggregate, order, cursor)


async def plan_earlier(engine: QueryEngine, now: PlannedQuery) -> PlannedQuery | None:
    """Plan the same request for the period that it is compared with; None: there is none.

    Only the groups of the page are selected, and the same groups are combined as others.

    Raises:
        BadRequestError: the earlier period begins before 1970.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    request = now.request
    if request.compared is None:
        return None
    period = earlier(now.period, request.compared.offset_s, request.step, request.time_zone)
    if not earlier_fits(period):
        message = "compare_with: the earlier period must be after 1970"
        raise BadRequestError(message, field="compare_with")
    logical, choice, planned = await _planned(engine, request, period)
    limit = engine.settings.window_rows_max + 1
    aggregate = replace(planned, order=now.aggregate.order, limit=limit)
    if now.aggregate.top is not None:
        aggregate = replace(aggregate, top=now.aggregate.top._replace(of=now.aggregate))
    elif request.group_by:
        aggregate = replace(aggregate, of_page=replace(now.aggregate, limit=request.limit))
    return replace(now, period=period, logical=logical, choice=choice, aggregate=aggregate)


async def _planned(
    engine: QueryEngine, request: QueryRequest, period: Period
) -> tuple[LogicalQuery, Choice, Aggregate]:
    """Return the logical query of a request for a period, its source, and the query of the store.

    Raises:
        BadRequestError: no source has all measures, dimensions and filters together.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    logical = await logical_query_of(engine, request, period)
    choice = choice_of(logical)
    require_answerable(logical, choice)
    aggregate = await aggregate_of(engine.reader, logical, choice.source)
    return logical, choice, replace(aggregate, is_never_empty=True)


async def logical_query_of(
    engine: QueryEngine, request: QueryRequest, period: Period
) -> LogicalQuery:
    """Return the logical query of a request for a period. Raises like ``Reader.rows``."""
    from_us = period.from_s * SECOND_US
    return LogicalQuery(
        request.project_id,
        request.view,
        from_us,
        period.to_s * SECOND_US,
        request.group_by,
        request.metrics,
        request.conditions,
        period.bounds_s,
        period.runs,
        is_money_exact=True,
        is_spend_complete=await engine.is_spend_complete(from_us),
        has_spend_unpriced=await engine.has_spend_unpriced(from_us),
        are_percentiles_exact=request.are_percentiles_exact,
    )


def require_answerable(logical: LogicalQuery, choice: Choice) -> None:
    """Refuse a query with a dimension that only rollups have, which cannot answer it.

    Raises:
        BadRequestError: no source can answer it.
    """
    if choice.source in {"windows", "spend"}:
        return
    for name, dimension in logical.group_by:
        if not dimension.sql:
            why = "; ".join(
                f"{each}: {', '.join(found)}" for each, found in choice.excluded.items()
            )
            message = f"group_by: {name} cannot be combined with the rest of the query ({why})"
            raise BadRequestError(message, field="group_by")


def percentile_error(logical: LogicalQuery) -> float | None:
    """Return the maximum relative error of the percentiles; None: the query has none."""
    errors = [
        RELATIVE_ERROR if is_sketched(logical, metric) else 0.0
        for metric in logical.metrics
        if metric.level is not None
    ]
    return max(errors, default=None)


def order_of(request: QueryRequest) -> tuple[str, bool]:
    """Return the selected column of an order, and whether it is descending.

    Raises:
        BadRequestError: there is no such column, or it cannot be ordered by.
    """
    columns = columns_of(request)
    name = request.order_by
    if not name and request.step is None and not request.group_by:
        return "m0", False  # there is one row
    if not name:
        if request.step is not None:
            return START_COLUMN, False
        ordered = [each for each in request.metrics if is_number(each)]
        if not ordered:
            return "d0", False
        return columns[ordered[0].name], True
    if name not in columns:
        allowed = tuple(columns)
        message = f"order_by: {name[:64]!r} is not one of {', '.join(allowed)}"
        raise BadRequestError(message, field="order_by", allowed=allowed)
    return columns[name], request.is_descending


def columns_of(request: QueryRequest) -> Mapping[str, str]:
    """Return the selected columns by the names by which rows can be ordered."""
    columns = {START: START_COLUMN} if request.step is not None else {}
    columns |= {each.name: f"d{at}" for at, each in enumerate(request.group_by)}
    columns |= {each.name: f"m{at}" for at, each in enumerate(request.metrics) if is_number(each)}
    return columns


def _rank_sql(request: QueryRequest, aggregate: Aggregate) -> str:
    """Return the SQL of the measure by which groups are ranked: that of the order, or the first."""
    columns = columns_of(request)
    ranked = columns.get(request.order_by, "")
    if not ranked.startswith("m"):
        ranked = next((each for each in columns.values() if each.startswith("m")), "")
    if not ranked:
        message = "top: a measure that is a number is required, by which groups are ranked"
        raise BadRequestError(message, field="top")
    return aggregate.measures[int(ranked[1:])]


def digest_of(request: QueryRequest) -> str:
    """Return a hash of what must be the same for all pages: not the range and the formulas."""
    same = replace(request, from_s=0, to_s=0, cursor=None, formulas={})
    return hashlib.blake2b(repr(same).encode(), digest_size=8).hexdigest()


def _type_of(cursor: QueryCursor, request: QueryRequest, column: str) -> KeyType:
    """Return the type of the value of a cursor.

    Raises:
        BadRequestError: the ordered column has values of another type.
    """
    value = cursor.value
    if column == START_COLUMN or column.startswith("d"):
        expected: type = int if column == START_COLUMN else str
        if type(value) is expected:
            return "Int64" if expected is int else "String"
    elif request.metrics[int(column[1:])].measure.unit == "money" and isinstance(value, str):
        if _DECIMAL.fullmatch(value):
            return "Decimal(38, 12)"
    elif isinstance(value, int) or value is None:
        return "Int64"
    elif isinstance(value, float):
        return "Float64"
    raise BadRequestError("cursor: it is of another query", field="cursor")


_DECIMAL: Final = re.compile(r"-?\d{1,25}(\.\d{1,12})?", re.ASCII)


def cursor_text(now: PlannedQuery, value: float | str | None, keys: list[str | int]) -> str:
    """Return the cursor after a row."""
    request = now.request
    cursor = QueryCursor(digest_of(request), request.from_s, request.to_s, value, keys)
    return cursors.encode(cursor)


def _cursor_of(request: QueryRequest) -> QueryCursor | None:
    if request.cursor is None:
        return None
    found = cursors.decode(request.cursor, QueryCursor)
    types = [*([int] if request.step is not None else []), *([str] * len(request.group_by))]
    if found.digest != digest_of(request) or [type(each) for each in found.keys] != types:
        raise BadRequestError("cursor: it is of another query", field="cursor")
    return found
