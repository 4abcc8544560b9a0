"""Serve observations at ``/api/public/observations`` and ``/api/public/v2/observations``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from query_api import cursors
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.langfuse.parameters import (
    ConditionList,
    FilterText,
    LangfuseParameters,
    LevelOfObservation,
    PageParameters,
    Text,
    Texts,
    TypeOfObservation,
    chosen_groups,
)
from query_api.langfuse.shapes.observation_v1 import ObservationV1, observation_v1
from query_api.langfuse.shapes.observation_v2 import GROUPS, ObservationV2, observation_v2
from query_api.langfuse.totals import total_of
from query_api.numbers import Whole
from query_api.openapi.langfuse_examples import (
    OBSERVATION_EXAMPLE,
    OBSERVATION_LIST_EXAMPLE,
    OBSERVATION_V2_LIST_EXAMPLE,
)
from query_api.pages import CursorMeta, PageMeta, page_meta
from query_api.responses import json_response
from query_api.store.columns import OBSERVATION_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.observation_pages import read_page
from query_api.store.queries.observations import (
    CountObservations,
    FindObservations,
    Position,
    ReadObservations,
)
from query_api.store.rows import (
    OBSERVATION_GROUPS,
    OBSERVATION_KEY,
    OBSERVATION_WHOLE,
    TRACE_CONTEXT,
)
from query_api.store.summaries import mark_summaries
from query_api.store.trace_reading import read_observations, read_traces
from query_api.times import Instant, InstantUs
from tracemill.clock import now_us

_DEFAULT_GROUPS: Final = frozenset({"core", "basic"})
_OF_TRACE: Final = frozenset({"basic", "trace_context"})

ObservationId = Annotated[str, Path(max_length=800, examples=["00f067aa0ba902b7"])]


class ObservationList(msgspec.Struct):
    data: list[ObservationV1]
    meta: PageMeta


class ObservationV2List(msgspec.Struct):
    data: list[ObservationV2]
    meta: CursorMeta


class _Cursor(msgspec.Struct, rename="camel"):
    last_start_time_us: InstantUs
    last_trace_id: str
    last_id: str


class _FilterParameters(LangfuseParameters):
    """The filter parameters of both versions of the list."""

    name: Text | None = None
    user_id: Text | None = None
    type: TypeOfObservation | None = Field(None, examples=["GENERATION"])
    trace_id: Text | None = None
    level: LevelOfObservation | None = Field(None, examples=["ERROR"])
    environment: Texts = []
    from_start_time: Instant | None = None
    to_start_time: Instant | None = None
    version: Text | None = None
    filter: FilterText | None = None

    def filter_conditions(self) -> ConditionList:
        conditions = ConditionList(OBSERVATION_COLUMNS, self.filter)
        conditions.add("name", "eq", self.name)
        conditions.add("userId", "eq", self.user_id)
        conditions.add("type", "eq", self.type)
        conditions.add("traceId", "eq", self.trace_id)
        conditions.add("level", "eq", self.level)
        conditions.add("environment", "in", tuple(self.environment))
        conditions.add("startTime", "ge", self.from_start_time)
        conditions.add("startTime", "lt", self.to_start_time)
        conditions.add("version", "eq", self.version)
        return conditions


class ObservationListParameters(_FilterParameters, PageParameters):
    parent_observation_id: Text | None = None

    def conditions(self) -> tuple[Condition, ...]:
        conditions = self.filter_conditions()
        conditions.add("parentObservationId", "eq", self.parent_observation_id)
        return conditions.done()


class ObservationV2ListParameters(_FilterParameters):
    limit: Whole = Field(50, ge=1, le=1000)
    cursor: cursors.CursorText | None = None
    fields: Text | None = Field(None, examples=["core,basic,usage"])
    expand_metadata: Text | None = Field(None, description="Metadata keys that are not cut.")
    parse_io_as_json: bool = Field(False, description="Must be false: values are raw strings.")
    session_id: Text | None = None
    parent_observation_id: Text | None = Field(
        None, description="An empty value selects observations without a parent."
    )
    is_root_observation: bool | None = None

    def conditions(self, *, parentless: bool) -> tuple[Condition, ...]:
        conditions = self.filter_conditions()
        conditions.add("sessionId", "eq", self.session_id)
        parent = "" if parentless else self.parent_observation_id
        conditions.add("parentObservationId", "eq", parent)
        if self.is_root_observation is not None:
            conditions.add("isRootObservation", "eq", self.is_root_observation)
        return conditions.done()

    def position(self) -> Position | None:
        if self.cursor is None:
            return None
        cursor = cursors.decode(self.cursor, _Cursor)
        return Position(cursor.last_start_time_us, cursor.last_trace_id, cursor.last_id)


def observations_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["observations"])
    reader = context.reader

    @router.get(
        "/api/public/observations",
        summary="List observations",
        responses={
            200: context.documented.response(
                ObservationList, "A page of observations.", OBSERVATION_LIST_EXAMPLE
            )
        },
    )
    async def list_observations(
        project_id: ProjectId, parameters: Annotated[ObservationListParameters, Query()]
    ) -> Response:
        """Newest first."""
        conditions = parameters.conditions()
        rows = await read_page(
            reader,
            FindObservations(project_id, conditions, parameters.limit, parameters.offset),
            OBSERVATION_WHOLE,
            from_us=parameters.from_start_time,
            newest_us=parameters.to_start_time or now_us(),
        )
        count = CountObservations(project_id, conditions)
        total, _ = await asyncio.gather(
            total_of(reader, count, parameters, len(rows)),
            mark_summaries(reader, project_id, rows),
        )
        context.prompts.mark(project_id, rows)
        meta = page_meta(parameters.page, parameters.limit, total)
        return json_response(ObservationList([observation_v1(row) for row in rows], meta))

    @router.get(
        "/api/public/observations/{observationId:path}",
        summary="Get an observation",
        responses={
            200: context.documented.response(ObservationV1, "The observation.", OBSERVATION_EXAMPLE)
        },
    )
    async def get_observation(project_id: ProjectId, observationId: ObservationId) -> Response:  # noqa: N803
        query = ReadObservations(project_id, ids=(observationId,), columns=OBSERVATION_WHOLE)
        rows = await read_observations(reader, query)
        if not rows:
            raise NotFoundError("Observation not found within authorized project")
        await mark_summaries(reader, project_id, rows[:1])
        context.prompts.mark(project_id, rows[:1])
        return json_response(observation_v1(rows[0]))

    @router.get(
        "/api/public/v2/observations",
        summary="List observations by groups of fields",
        responses={
            200: context.documented.response(
                ObservationV2List, "A page of observations.", OBSERVATION_V2_LIST_EXAMPLE
            )
        },
    )
    async def list_observations_v2(
        project_id: ProjectId,
        parameters: Annotated[ObservationV2ListParameters, Query()],
        request: Request,
    ) -> Response:
        """Newest first. `meta.cursor` is that of the next page; it is absent on the last page.

        Input and output are raw strings. Metadata values are cut at 200 characters, unless
        `expandMetadata` contains their keys.
        """
        if parameters.parse_io_as_json:
            message = "parseIoAsJson: not supported; input and output are raw strings"
            raise BadRequestError(message, field="parseIoAsJson", allowed=("false",))
        groups = chosen_groups(parameters.fields, GROUPS, _DEFAULT_GROUPS) | {"core"}
        parentless = request.query_params.get("parentObservationId") == ""
        position = parameters.position()
        query = FindObservations(
            project_id,
            parameters.conditions(parentless=parentless),
            parameters.limit + 1,
            below=position,
        )
        found = await read_page(
            reader,
            query,
            _columns_of(groups),
            from_us=parameters.from_start_time,
            newest_us=position.start_us if position else parameters.to_start_time or now_us(),
        )
        rows = found[: parameters.limit]
        traces = {}
        if "prompt" in groups:
            context.prompts.mark(project_id, rows)
        if "usage" in groups:
            await mark_summaries(reader, project_id, rows)
        if groups & _OF_TRACE:
            traces = await read_traces(
                reader, project_id, (row.trace_id for row in rows), TRACE_CONTEXT
            )
        expanded = frozenset((parameters.expand_metadata or "").split(","))
        data = [observation_v2(row, traces.get(row.trace_id), groups, expanded) for row in rows]
        cursor = None
        if len(found) > len(rows):
            last = rows[-1]
            cursor = cursors.encode(_Cursor(last.start_us, last.trace_id, last.id))
        return json_response(ObservationV2List(data, CursorMeta(cursor)))

    return router


def _columns_of(groups: frozenset[str]) -> tuple[str, ...]:
    columns = [
        column
        for group in GROUPS
        if group in groups
        for column in OBSERVATION_GROUPS.get(group, ())
    ]
    return (*OBSERVATION_KEY, *dict.fromkeys(columns))
