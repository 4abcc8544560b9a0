"""Serve ``/api/public/scores`` (of traces, without corrections) and ``/api/public/v2/scores``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.langfuse.parameters import (
    ConditionList,
    FilterText,
    PageParameters,
    SourceOfScore,
    Text,
    Texts,
    TypeOfScore,
    chosen_groups,
    parts_of,
)
from query_api.langfuse.shapes.score import ScoreOut, score_out, score_trace
from query_api.langfuse.totals import total_of
from query_api.numbers import Number
from query_api.openapi.langfuse_examples import SCORE_EXAMPLE, SCORE_LIST_EXAMPLE
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition, Operator
from query_api.store.queries.scores import NOT_CORRECTIONS, CountScores, FindScores
from query_api.store.rows import TRACE_CONTEXT, StoredScore
from query_api.store.trace_reading import read_traces
from query_api.times import Instant

_OPERATORS: Final[dict[str, Operator]] = {
    "=": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
}
_OF_TRACES: Final = (Condition(SCORE_COLUMNS["traceId"], "set"), NOT_CORRECTIONS)

_GROUPS: Final = ("score", "trace")

ScoreId = Annotated[str, Path(max_length=800, examples=["5f0c8a1e9d3b4c72"])]


class ScoreList(msgspec.Struct):
    data: list[ScoreOut]
    meta: PageMeta


class ScoreListParameters(PageParameters):
    user_id: Text | None = None
    name: Text | None = None
    from_timestamp: Instant | None = None
    to_timestamp: Instant | None = None
    environment: Texts = []
    source: SourceOfScore | None = None
    operator: Literal["=", "!=", "<", "<=", ">", ">="] = "="
    value: Number | None = None
    score_ids: Text | None = Field(None, description="Comma-separated ids.")
    config_id: Text | None = None
    session_id: Text | None = None
    dataset_run_id: Text | None = None
    trace_id: Text | None = None
    observation_id: Text | None = None
    queue_id: Text | None = None
    data_type: TypeOfScore | None = None
    trace_tags: Texts = []
    fields: Text | None = Field(
        None, description="Groups of fields: score, trace; by default both.", examples=["score"]
    )
    filter: FilterText | None = None

    def conditions(self) -> tuple[Condition, ...]:
        conditions = ConditionList(SCORE_COLUMNS, self.filter)
        conditions.add("userId", "eq", self.user_id)
        conditions.add("name", "eq", self.name)
        conditions.add("timestamp", "ge", self.from_timestamp)
        conditions.add("timestamp", "lt", self.to_timestamp)
        conditions.add("environment", "in", tuple(self.environment))
        conditions.add("source", "eq", self.source)
        conditions.add("value", _OPERATORS[self.operator], self.value)
        conditions.add("id", "in", parts_of(self.score_ids))
        conditions.add("configId", "eq", self.config_id)
        conditions.add("sessionId", "eq", self.session_id)
        conditions.add("datasetRunId", "eq", self.dataset_run_id)
        conditions.add("traceId", "eq", self.trace_id)
        conditions.add("observationId", "eq", self.observation_id)
        conditions.add("queueId", "eq", self.queue_id)
        conditions.add("dataType", "eq", self.data_type)
        conditions.add("traceTags", "has_all", tuple(self.trace_tags))
        return conditions.done()


def scores_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["scores"])
    reader, documented = context.reader, context.documented
    listed: Responses = {
        200: documented.response(ScoreList, "A page of scores.", SCORE_LIST_EXAMPLE)
    }
    single: Responses = {200: documented.response(ScoreOut, "The score.", SCORE_EXAMPLE)}

    async def page(project_id: str, parameters: ScoreListParameters, *extra: Condition) -> Response:
        conditions = (*parameters.conditions(), *extra)
        query = FindScores(project_id, conditions, parameters.limit, parameters.offset)
        rows = await reader.rows(query, StoredScore)
        count = CountScores(project_id, conditions)
        total = await total_of(reader, count, parameters, len(rows))
        trace_ids = (row.trace_id for row in rows if row.trace_id)
        data = [score_out(row) for row in rows]
        if "trace" in chosen_groups(parameters.fields, _GROUPS, frozenset(_GROUPS)):
            traces = await read_traces(reader, project_id, trace_ids, TRACE_CONTEXT)
            for score in data:
                trace = traces.get(score.trace_id or "")
                score.trace = score_trace(trace) if trace else None
        meta = page_meta(parameters.page, parameters.limit, total)
        return json_response(ScoreList(data, meta))

    async def one(project_id: str, score_id: str, *extra: Condition) -> Response:
        conditions = (Condition(SCORE_COLUMNS["id"], "eq", score_id), *extra)
        row = await reader.row(FindScores(project_id, conditions, 1), StoredScore)
        if row is None:
            raise NotFoundError("Score not found within authorized project")
        return json_response(score_out(row))

    @router.get("/api/public/scores", summary="List scores of traces", responses=listed)
    async def list_trace_scores(
        project_id: ProjectId, parameters: Annotated[ScoreListParameters, Query()]
    ) -> Response:
        """Newest first, without corrections, which `/api/public/v2/scores` includes."""
        return await page(project_id, parameters, *_OF_TRACES)

    @router.get("/api/public/v2/scores", summary="List scores", responses=listed)
    async def list_scores(
        project_id: ProjectId, parameters: Annotated[ScoreListParameters, Query()]
    ) -> Response:
        """Scores of traces, observations, sessions and runs, newest first."""
        return await page(project_id, parameters)

    @router.get(
        "/api/public/scores/{scoreId:path}", summary="Get a score of a trace", responses=single
    )
    async def get_trace_score(project_id: ProjectId, scoreId: ScoreId) -> Response:  # noqa: N803
        return await one(project_id, scoreId, *_OF_TRACES)

    @router.get("/api/public/v2/scores/{scoreId:path}", summary="Get a score", responses=single)
    async def get_score(project_id: ProjectId, scoreId: ScoreId) -> Response:  # noqa: N803
        return await one(project_id, scoreId)

    return router
