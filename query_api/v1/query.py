"""Serve ``/v1/query``: measures by step and group, from the cheapest source that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from query_api.context import AppContext, ReadingProject
from query_api.openapi.query_examples import EXPLAIN_EXAMPLE, QUERY_EXAMPLE
from query_api.query.answers import Answer, AnswerRow, answer_of
from query_api.query.engine import BYTES_UNIT, ROWS_UNIT, rounded_up
from query_api.query.explaining import Explanation, TableEstimate, explanation_of
from query_api.query.native_fields import TOKENS
from query_api.query.planned_query import PlannedQuery, percentile_error
from query_api.responses import json_response
from query_api.times import SECOND_US, iso
from query_api.v1.parameters import native_router
from query_api.v1.query_bodies import QueryBody
from tracemill.clock import now_us


class QueryRow(msgspec.Struct, kw_only=True):
    """Values of a step and group."""

    start: str | None
    end: str | None
    group: dict[str, str]
    is_other: bool
    """Whether all groups that are not shown are combined."""
    values: dict[str, Any]
    """Sums and counts without rows are zero, other values null. Money is a decimal string."""
    previous: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    """Values of the earlier period."""
    change: dict[str, float | None] | msgspec.UnsetType = msgspec.UNSET
    """Relative changes, such as 0.1 for 10 % more."""


class _Meta(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    view: str
    from_: str
    """The range is rounded outwards to ten seconds."""
    to: str
    step: str | None
    time_zone: str
    group_by: list[str]
    compared_from: str | None
    compared_to: str | None
    percentile_relative_error: float | None
    """Maximum error of percentiles; null if there are none."""


class ExplainMeta(_Meta):
    """What is requested."""


class QueryMeta(_Meta, kw_only=True):
    """What was requested, and what was read."""

    fresh_until: str | None
    """All events that were accepted before this time are included; null if it is unknown."""
    sources: list[str]
    """``stream`` (windows of ten seconds), ``rollup``, and the volumes of rows, ``hot`` and
    ``cold``. Rows have ``rollup`` too if spend found the groups of the page."""
    rows_read: int
    """Rows that the store read, rounded up to multiples of 8,192."""
    bytes_read: int
    """Bytes that the store read, rounded up to MiB."""
    warnings: list[str]
    """Name measures of tokens without a value in any row: their type may be misspelled."""
    has_more: bool
    cursor: str | None


class QueryList(msgspec.Struct):
    data: list[QueryRow]
    meta: QueryMeta


class ExcludedSource(msgspec.Struct):
    source: str
    reasons: list[str]


class QueryExplanation(msgspec.Struct, kw_only=True):
    """Where a query would be answered."""

    source: str
    """``windows`` (with rollups of hours and days), ``spend``, or the rows of the view."""
    sources: list[str]
    excluded: list[ExcludedSource]
    """Cheaper sources, and why they cannot answer exactly."""
    seconds: dict[str, int]
    """Seconds of the range by the table that is read for them."""
    tables: list[TableEstimate]
    """Estimates of the store."""
    meta: ExplainMeta


def query_router(context: AppContext) -> APIRouter:
    router = native_router("metrics")
    documented, settings, engine = context.documented, context.settings, context.query_engine

    @router.post(
        "/v1/query",
        summary="Query measures by step and group",
        responses={200: documented.response(QueryList, "Rows.", QUERY_EXAMPLE)},
    )
    async def query(project_id: ReadingProject, body: QueryBody) -> Response:
        """Return measures of calls, traces or scores, from the cheapest source that is exact.

        With `step` and without `group_by`, there is a row for every step. With `group_by`, there
        are only rows of steps and groups that have data. Without both, there is one row.
        """
        request = body.request(project_id, now_us(), settings)
        return json_response(_list_of(await answer_of(engine, request)))

    @router.post(
        "/v1/query/explain",
        summary="Explain a query",
        responses={
            200: documented.response(QueryExplanation, "The source.", EXPLAIN_EXAMPLE),
        },
    )
    async def explain_query(project_id: ReadingProject, body: QueryBody) -> Response:
        """Return which source would answer a query, why, and about how much it would read."""
        request = body.request(project_id, now_us(), settings)
        return json_response(_explained(await explanation_of(engine, request)))

    return router


def _list_of(answer: Answer) -> QueryList:
    fresh_us = answer.fresh_until_us
    meta = QueryMeta(
        **_meta_of(answer.now, answer.before),
        percentile_relative_error=answer.percentile_relative_error,
        fresh_until=None if fresh_us is None else iso(fresh_us),
        sources=answer.sources,
        rows_read=rounded_up(answer.statistics.rows_read, ROWS_UNIT),
        bytes_read=rounded_up(answer.statistics.bytes_read, BYTES_UNIT),
        warnings=_warnings_of(answer.rows),
        has_more=answer.cursor is not None,
        cursor=answer.cursor,
    )
    return QueryList([_row_of(row) for row in answer.rows], meta)


def _warnings_of(rows: Sequence[AnswerRow]) -> list[str]:
    names = [name for name in (rows[0].values if rows else ()) if name.startswith(TOKENS)]
    return [
        f"{name} has no value in any row: no call that was read has tokens of this type"
        for name in names
        if not any(row.values[name] for row in rows)
    ]


def _row_of(row: AnswerRow) -> QueryRow:
    return QueryRow(
        start=None if row.start_s is None else iso(row.start_s * SECOND_US),
        end=None if row.end_s is None else iso(row.end_s * SECOND_US),
        group=row.group,
        is_other=row.is_other,
        values=row.values,
        previous=msgspec.UNSET if row.previous is None else row.previous,
        change=msgspec.UNSET if row.change is None else row.change,
    )


def _meta_of(now: PlannedQuery, before: PlannedQuery | None) -> dict[str, Any]:
    request = now.request
    compared = None if before is None else before.period
    return {
        "view": request.view,
        "from_": iso(request.from_s * SECOND_US),
        "to": iso(request.to_s * SECOND_US),
        "step": request.step,
        "time_zone": request.time_zone,
        "group_by": [each.name for each in request.group_by],
        "compared_from": None if compared is None else iso(compared.from_s * SECOND_US),
        "compared_to": None if compared is None else iso(compared.to_s * SECOND_US),
    }


def _explained(found: Explanation) -> QueryExplanation:
    excluded = found.now.choice.excluded.items()
    meta = ExplainMeta(
        **_meta_of(found.now, found.before),
        percentile_relative_error=percentile_error(found.now.logical),
    )
    return QueryExplanation(
        source=found.now.choice.source,
        sources=found.sources,
        excluded=[ExcludedSource(source, list(reasons)) for source, reasons in excluded],
        seconds=found.seconds,
        tables=found.tables,
        meta=meta,
    )
