"""Serve ``/api/public/metrics/daily``: traces, observations, tokens and cost by day and model."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import TooManyError
from query_api.langfuse.parameters import ConditionList, PageParameters, Text, Texts
from query_api.openapi.metrics_examples import DAILY_METRICS_EXAMPLE
from query_api.pages import PageMeta, page_meta
from query_api.query.fields import OBSERVATION_MEASURES
from query_api.responses import json_response
from query_api.store.columns import OBSERVATION_COLUMNS, TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.aggregates import Aggregate
from query_api.times import Instant
from tracemill.clock import now_us

_DATE: Final = "formatDateTime(start_time, '%Y-%m-%d')"
_HOUR_US: Final = 3_600_000_000
_AMOUNTS: Final = (
    "toInt64(count())",
    "toInt64(uniqExact(trace_id))",
    f"toFloat64(sum({OBSERVATION_MEASURES['totalCost'].sql}))",
    f"sum({OBSERVATION_MEASURES['inputTokens'].sql})",
    f"sum({OBSERVATION_MEASURES['outputTokens'].sql})",
    f"sum({OBSERVATION_MEASURES['totalTokens'].sql})",
)


class DailyMetricsParameters(PageParameters):
    trace_name: Text | None = None
    user_id: Text | None = None
    tags: Texts = []
    environment: Texts = []
    from_timestamp: Instant | None = None
    to_timestamp: Instant | None = None

    def of_traces(self) -> tuple[Condition, ...]:
        conditions = ConditionList(TRACE_COLUMNS, None)
        conditions.add("name", "eq", self.trace_name)
        conditions.add("userId", "eq", self.user_id)
        conditions.add("tags", "has_all", tuple(self.tags))
        conditions.add("environment", "in", tuple(self.environment))
        return conditions.done()

    def of_observations(self) -> tuple[Condition, ...]:
        conditions = ConditionList(OBSERVATION_COLUMNS, None)
        conditions.add("traceName", "eq", self.trace_name)
        conditions.add("userId", "eq", self.user_id)
        conditions.add("traceTags", "has_all", tuple(self.tags))
        conditions.add("environment", "in", tuple(self.environment))
        return conditions.done()


class UsageByModel(msgspec.Struct, rename="camel", kw_only=True):
    model: str | None
    input_usage: int
    output_usage: int
    total_usage: int
    count_observations: int
    count_traces: int
    total_cost: float


class DailyMetrics(msgspec.Struct, rename="camel", kw_only=True):
    date: str
    count_traces: int = 0
    """Traces that started on the day."""
    count_observations: int = 0
    total_cost: float = 0.0
    usage: list[UsageByModel] = []


class DailyMetricsList(msgspec.Struct):
    data: list[DailyMetrics]
    meta: PageMeta


def daily_metrics_router(context: AppContext) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["metrics"])
    rows_max = context.settings.window_rows_max

    async def rows_of(query: Aggregate) -> list[dict[str, Any]]:
        rows = (await context.reader.measured(query)).data
        if len(rows) > rows_max:
            metrics.LIMITS_REACHED.labels("window_rows_max").inc()
            raise TooManyError(f"more than {rows_max} days and models; request fewer days")
        return rows

    @router.get(
        "/api/public/metrics/daily",
        summary="List metrics by day",
        responses={
            200: context.documented.response(
                DailyMetricsList, "Days with data, the latest first.", DAILY_METRICS_EXAMPLE
            )
        },
    )
    async def list_daily_metrics(
        project_id: ProjectId, parameters: Annotated[DailyMetricsParameters, Query()]
    ) -> Response:
        """Return the traces, observations, tokens and cost of each day (UTC).

        Tokens and cost that an observation and its descendants both report are counted once.
        """
        from_us = max(parameters.from_timestamp or 0, 0)
        to_us = parameters.to_timestamp
        to_us = now_us() + 24 * _HOUR_US if to_us is None else max(to_us, 0)
        traces = Aggregate(
            project_id, "traces", from_us, to_us, (_DATE,), ("toInt64(count())",),
            conditions=parameters.of_traces(), limit=rows_max + 1,
        )  # fmt: skip
        observations = Aggregate(
            project_id, "observations", from_us, to_us, (_DATE, "model"), _AMOUNTS,
            joins=("summaries",), conditions=parameters.of_observations(), limit=rows_max + 1,
        )  # fmt: skip
        days = _days(await rows_of(traces), await rows_of(observations))
        page = days[parameters.offset : parameters.offset + parameters.limit]
        meta = page_meta(parameters.page, parameters.limit, len(days))
        return json_response(DailyMetricsList(page, meta))

    return router


def _days(traces: list[dict[str, Any]], observations: list[dict[str, Any]]) -> list[DailyMetrics]:
    days = {row["d0"]: DailyMetrics(date=row["d0"], count_traces=row["m0"]) for row in traces}
    for row in observations:
        day = days.setdefault(row["d0"], DailyMetrics(date=row["d0"]))
        day.count_observations += row["m0"]
        day.total_cost += row["m2"]
        usage = UsageByModel(
            model=row["d1"] or None,
            input_usage=row["m3"],
            output_usage=row["m4"],
            total_usage=row["m5"],
            count_observations=row["m0"],
            count_traces=row["m1"],
            total_cost=row["m2"],
        )
        day.usage = [*day.usage, usage]
    return sorted(days.values(), key=lambda day: day.date, reverse=True)
