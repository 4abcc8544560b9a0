"""Serve lists and details of traces at ``/api/public/traces``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, TooManyError
from query_api.langfuse.parameters import (
    ConditionList,
    FilterText,
    LangfuseParameters,
    PageParameters,
    Text,
    Texts,
    chosen_groups,
)
from query_api.langfuse.shapes.observation_v1 import observation_v1
from query_api.langfuse.shapes.score import score_out
from query_api.langfuse.shapes.trace import (
    GROUPS,
    TraceInDetail,
    TraceInList,
    TraceList,
    trace_in_detail,
    trace_in_list,
)
from query_api.langfuse.totals import total_of
from query_api.openapi.langfuse_examples import TRACE_DETAIL_EXAMPLE, TRACE_LIST_EXAMPLE
from query_api.pages import page_meta
from query_api.responses import json_response
from query_api.store.columns import LISTED_TRACE_COLUMNS, SCORE_COLUMNS, TRACE_ORDER
from query_api.store.conditions import Condition
from query_api.store.newest import find_newest
from query_api.store.queries.scores import NOT_CORRECTIONS, FindScores
from query_api.store.queries.traces import CountTraces, FindTraces
from query_api.store.reader import Reader
from query_api.store.rows import (
    OBSERVATION_NUMBERS,
    OBSERVATION_WHOLE,
    TRACE_CORE,
    TRACE_DETAIL,
    TRACE_WHOLE,
    StoredObservation,
    StoredScore,
    StoredTrace,
)
from query_api.store.summaries import mark_summaries_of
from query_api.store.trace_reading import (
    IdOfTrace,
    fill_io_from_root_observation,
    observation_ids_of,
    read_trace,
    read_traces,
    score_ids_of,
    whole_observations_of,
)
from query_api.times import Instant
from tracemill.clock import now_us

_ALL: Final = frozenset(GROUPS)

TraceId = Annotated[str, Path(max_length=800, examples=["0af7651916cd43dd8448eb211c80319c"])]


class TraceListParameters(PageParameters):
    user_id: Text | None = None
    name: Text | None = None
    session_id: Text | None = None
    version: Text | None = None
    release: Text | None = None
    from_timestamp: Instant | None = None
    to_timestamp: Instant | None = None
    order_by: Text | None = Field(None, examples=["timestamp.desc"])
    tags: Texts = []
    environment: Texts = []
    fields: Text | None = Field(None, examples=["core,metrics"])
    filter: FilterText | None = None

    def conditions(self) -> tuple[Condition, ...]:
        conditions = ConditionList(LISTED_TRACE_COLUMNS, self.filter)
        conditions.add("userId", "eq", self.user_id)
        conditions.add("name", "eq", self.name)
        conditions.add("sessionId", "eq", self.session_id)
        conditions.add("version", "eq", self.version)
        conditions.add("release", "eq", self.release)
        conditions.add("timestamp", "ge", self.from_timestamp)
        conditions.add("timestamp", "lt", self.to_timestamp)
        conditions.add("tags", "has_all", tuple(self.tags))
        conditions.add("environment", "in", tuple(self.environment))
        return conditions.done()

    def order(self) -> tuple[str, bool]:
        """Return the expression to sort by, and whether the order is descending."""
        if self.order_by is None:
            return TRACE_ORDER["timestamp"], True
        name, _, direction = self.order_by.partition(".")
        expression = TRACE_ORDER.get(name)
        if expression is None:
            message = f"orderBy: {name[:64]!r} is not one of {', '.join(TRACE_ORDER)}"
            raise BadRequestError(message, field="orderBy", allowed=tuple(TRACE_ORDER))
        if direction.lower() not in {"", "asc", "desc"}:
            message = f"orderBy: {direction[:64]!r} is neither asc nor desc"
            raise BadRequestError(message, field="orderBy", allowed=("asc", "desc"))
        return expression, direction.lower() == "desc"


class TraceParameters(LangfuseParameters):
    fields: Text | None = Field(None, examples=["core,io,observations,metrics"])


def traces_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["traces"])
    reader, settings = context.reader, context.settings

    async def find(query: FindTraces, parameters: TraceListParameters) -> list[IdOfTrace]:
        if not query.descending or query.order != TRACE_ORDER["timestamp"]:
            return await reader.rows(query, IdOfTrace)
        return await find_newest(
            reader,
            query,
            IdOfTrace,
            from_us=parameters.from_timestamp,
            newest_us=parameters.to_timestamp or now_us(),
        )

    @router.get(
        "/api/public/traces",
        summary="List traces",
        responses={
            200: context.documented.response(TraceList, "A page of traces.", TRACE_LIST_EXAMPLE)
        },
    )
    async def list_traces(
        project_id: ProjectId, parameters: Annotated[TraceListParameters, Query()]
    ) -> Response:
        """Newest first, unless `orderBy` is given.

        `fields` selects groups of fields. In other groups, lists of ids are empty, and cost and
        latency are -1. If a trace has too many observations or scores, only the first ids are
        listed, and `truncated` has the names of these lists.
        """
        conditions, (order, descending) = parameters.conditions(), parameters.order()
        groups = chosen_groups(parameters.fields, GROUPS, _ALL)
        query = FindTraces(
            project_id, conditions, order, descending, parameters.limit, parameters.offset
        )
        found = await find(query, parameters)
        total, by_id = await asyncio.gather(
            total_of(reader, CountTraces(project_id, conditions), parameters, len(found)),
            read_traces(
                reader,
                project_id,
                (key.id for key in found),
                TRACE_WHOLE if "io" in groups else TRACE_CORE,
            ),
        )
        traces = [by_id[key.id] for key in found if key.id in by_id]
        data = await _in_list(reader, traces, groups, settings.trace_ids_max)
        meta = page_meta(parameters.page, parameters.limit, total)
        return json_response(TraceList(data, meta))

    @router.get(
        "/api/public/traces/{traceId:path}",
        summary="Get a trace with its observations and scores",
        responses={
            200: context.documented.response(TraceInDetail, "The trace.", TRACE_DETAIL_EXAMPLE)
        },
    )
    async def get_trace(
        project_id: ProjectId,
        traceId: TraceId,  # noqa: N803
        parameters: Annotated[TraceParameters, Query()],
    ) -> Response:
        groups = chosen_groups(parameters.fields, GROUPS, _ALL)
        trace = await read_trace(reader, project_id, traceId, TRACE_DETAIL)
        observations, scores = await asyncio.gather(
            _observations(reader, trace, groups, settings.trace_observations_max),
            _scores(reader, trace, groups, settings.trace_scores_max),
        )
        mark_summaries_of(trace, observations)
        context.prompts.mark(project_id, observations)
        if "io" in groups:
            await fill_io_from_root_observation(reader, [trace], observations)
        return json_response(
            trace_in_detail(
                trace,
                groups,
                [observation_v1(row) for row in observations],
                [score_out(row) for row in scores],
            )
        )

    return router


async def _in_list(
    reader: Reader, traces: list[StoredTrace], groups: frozenset[str], ids_max: int
) -> list[TraceInList]:
    """Return traces of one project as items of a list, with their observation and score ids."""
    observation_ids, score_ids, _ = await asyncio.gather(
        observation_ids_of(reader, traces if "observations" in groups else (), ids_max),
        score_ids_of(reader, traces if "scores" in groups else (), ids_max),
        fill_io_from_root_observation(reader, traces if "io" in groups else ()),
    )
    listed = []
    for trace in traces:
        ids = observation_ids.get(trace.id, []), score_ids.get(trace.id, [])
        listed.append(trace_in_list(trace, groups, *ids, ids_max))
    if any(each.truncated for each in listed):
        metrics.LIMITS_REACHED.labels("trace_ids_max").inc()
    return listed


async def _observations(
    reader: Reader, trace: StoredTrace, groups: frozenset[str], limit: int
) -> list[StoredObservation]:
    if "observations" not in groups:
        return []
    columns = OBSERVATION_WHOLE if "io" in groups else OBSERVATION_NUMBERS
    return await whole_observations_of(reader, trace, columns, limit)


async def _scores(
    reader: Reader, trace: StoredTrace, groups: frozenset[str], limit: int
) -> list[StoredScore]:
    if "scores" not in groups:
        return []
    of_trace = Condition(SCORE_COLUMNS["traceId"], "eq", trace.id)
    query = FindScores(trace.project_id, (of_trace, NOT_CORRECTIONS), limit + 1)
    rows = await reader.rows(query, StoredScore)
    if len(rows) > limit:
        metrics.LIMITS_REACHED.labels("trace_scores_max").inc()
        raise TooManyError(
            f"the trace has more than {limit} scores; read them page by page from "
            "/api/public/v2/scores"
        )
    return rows
