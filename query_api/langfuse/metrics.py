"""Serve ``/api/public/metrics`` and ``/api/public/v2/metrics``: aggregates by a query object."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, TooCostlyError
from query_api.langfuse.metrics_query import (
    Granularity,
    MetricsQuery,
    bounds_of,
    parse_query,
)
from query_api.langfuse.parameters import LangfuseParameters
from query_api.openapi.metrics_examples import METRICS_EXAMPLE, METRICS_QUERY_EXAMPLE
from query_api.query.logical_query import LogicalQuery
from query_api.query.plan import aggregate_of
from query_api.query.sources import choice_of
from query_api.responses import json_response
from query_api.store.steps import Runs
from query_api.times import SECOND_US, iso

EXACT_PERCENTILES_MAX_S: Final = 86_400
"""Length of a range up to which percentiles are computed from observations; those of a longer one
may be computed from sketches, with an error of 1 %."""
_DATE_CHARS: Final = 10


class MetricsParameters(LangfuseParameters):
    query: str = Field(
        max_length=64_000,
        description="JSON object: `view` (traces, observations, scores-numeric, scores-boolean,"
        " scores-categorical), `metrics` `[{measure, aggregation}]`, `dimensions` `[{field}]`,"
        " `filters`, `timeDimension` `{granularity}`, `fromTimestamp`, `toTimestamp` (exclusive),"
        " `orderBy` `[{field, direction}]` and `config` `{bins, row_limit}`.",
        examples=[METRICS_QUERY_EXAMPLE],
    )


class MetricsList(msgspec.Struct):
    data: list[dict[str, Any]]


def metrics_router(context: AppContext) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["metrics"])
    documented = context.documented.response(MetricsList, "Rows.", METRICS_EXAMPLE)

    async def answer(project_id: str, query: MetricsQuery) -> Response:
        logical, granularity = _logical_query(project_id, query, context.settings.window_steps_max)
        is_complete = await context.query_engine.is_spend_complete(logical.from_us)
        logical = replace(logical, is_spend_complete=is_complete)
        source = choice_of(logical).source
        limit, order = query.limits.row_limit, query.order()
        aggregate = await aggregate_of(context.reader, logical, source)
        query_of_rows = replace(aggregate, order=order, limit=limit)
        rows = (await context.reader.measured(query_of_rows)).data
        data = [_shown(row, logical, granularity) for row in rows]
        return json_response(MetricsList(data))

    @router.get("/api/public/metrics", summary="Query metrics", responses={200: documented})
    async def query_metrics(
        project_id: ProjectId, parameters: Annotated[MetricsParameters, Query()]
    ) -> Response:
        """Return the dimensions of each group, and its metrics as `<aggregation>_<measure>`."""
        return await answer(project_id, parse_query(parameters.query))

    @router.get(
        "/api/public/v2/metrics", summary="Query metrics (version 2)", responses={200: documented}
    )
    async def query_metrics_v2(
        project_id: ProjectId, parameters: Annotated[MetricsParameters, Query()]
    ) -> Response:
        """Return the dimensions of each group, and its metrics as `<aggregation>_<measure>`.

        All views and dimensions are available, also `traces`, `userId` and `sessionId`.
        """
        return await answer(project_id, parse_query(parameters.query))

    return router


def _logical_query(
    project_id: str, query: MetricsQuery, steps_max: int
) -> tuple[LogicalQuery, Granularity | None]:
    view = query.engine_view()
    from_us, to_us = query.range_us()
    granularity = query.granularity()
    bounds_s: tuple[int, ...] = ()
    runs: Runs | None = None
    if granularity is not None:
        if to_us > _LAST_US:
            message = f"toTimestamp: must be before {iso(_LAST_US)}"
            raise BadRequestError(message, field="toTimestamp")
        if granularity == "minute" and (to_us - from_us) // (60 * SECOND_US) > steps_max:
            metrics.LIMITS_REACHED.labels("window_steps_max").inc()
            raise TooCostlyError(f"more than {steps_max} steps; choose a longer granularity")
        bounds_s, runs = bounds_of(granularity, from_us, to_us)
    return (
        LogicalQuery(
            project_id,
            view,
            from_us,
            to_us,
            query.fields(),
            query.aggregated(),
            query.conditions(),
            bounds_s,
            runs,
            are_percentiles_exact=to_us - from_us <= EXACT_PERCENTILES_MAX_S * SECOND_US,
        ),
        granularity,
    )


_LAST_US: Final = 2**32 // 86_400 * 86_400 * SECOND_US


def _shown(
    row: dict[str, Any], logical: LogicalQuery, granularity: Granularity | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if granularity is not None:
        start = iso(row["start_s"] * SECOND_US)
        is_time = granularity in {"minute", "hour"}
        shown["time_dimension"] = start if is_time else start[:_DATE_CHARS]
    for at, (name, _) in enumerate(logical.group_by):
        value = row[f"d{at}"]
        shown[name] = None if value == "" else value
    for at, metric in enumerate(logical.metrics):
        value = row[f"m{at}"]
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        shown[metric.name] = value
    return shown
