"""Serve ``/api/public/sessions``: sessions of traces, and the traces of one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError, TooManyError
from query_api.langfuse.parameters import ConditionList, PageParameters, Texts
from query_api.langfuse.shapes.trace import TraceOut, trace_out
from query_api.langfuse.totals import total_of
from query_api.openapi.session_examples import (
    LANGFUSE_SESSION_EXAMPLE,
    LANGFUSE_SESSION_LIST_EXAMPLE,
)
from query_api.pages import PageMeta, page_meta
from query_api.responses import json_response
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.owner_reading import OwnerRow, read_owners
from query_api.store.queries.owners import CountOwners, FindOwners
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import TRACE_WHOLE, StoredTrace
from query_api.store.trace_reading import (
    fill_io_from_root_observation,
    find_traces,
)
from query_api.times import Instant, iso

SessionId = Annotated[str, Path(min_length=1, max_length=1_000, examples=["session-4"])]


class LangfuseSession(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    created_at: str
    """Start of the first trace."""
    project_id: str
    environment: str
    """Environment of the first trace."""


class LangfuseSessionDetail(LangfuseSession, kw_only=True):
    traces: list[TraceOut]


class LangfuseSessionList(msgspec.Struct):
    data: list[LangfuseSession]
    meta: PageMeta


class SessionListParameters(PageParameters):
    from_timestamp: Instant | None = None
    to_timestamp: Instant | None = None
    environment: Texts = []

    def conditions(self) -> tuple[Condition, ...]:
        conditions = ConditionList(TRACE_COLUMNS, None)
        conditions.add("environment", "in", tuple(self.environment))
        return conditions.done()


def sessions_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["sessions"])
    reader, settings = context.reader, context.settings

    @router.get(
        "/api/public/sessions",
        summary="List sessions",
        responses={
            200: context.documented.response(
                LangfuseSessionList, "A page of sessions.", LANGFUSE_SESSION_LIST_EXAMPLE
            )
        },
    )
    async def list_langfuse_sessions(
        project_id: ProjectId, parameters: Annotated[SessionListParameters, Query()]
    ) -> Response:
        """Newest first, by the start of the first trace; the filters by time use it, too."""
        conditions = parameters.conditions()
        bounds = (parameters.from_timestamp, parameters.to_timestamp)
        query = FindOwners(
            project_id,
            "session_id",
            conditions,
            order="first_seen",
            limit=parameters.limit,
            offset=parameters.offset,
            first_from_us=bounds[0],
            first_to_us=bounds[1],
        )
        rows = await read_owners(reader, query)
        count = CountOwners(project_id, "session_id", conditions, *bounds)
        total = await total_of(reader, count, parameters, len(rows))
        meta = page_meta(parameters.page, parameters.limit, total)
        data = [
            LangfuseSession(
                id=row.owner_id,
                created_at=iso(row.first_us),
                project_id=project_id,
                environment=row.first_environment,
            )
            for row in rows
        ]
        return json_response(LangfuseSessionList(data, meta))

    @router.get(
        "/api/public/sessions/{session_id:path}",
        summary="Get a session with its traces",
        responses={
            200: context.documented.response(
                LangfuseSessionDetail, "The session.", LANGFUSE_SESSION_EXAMPLE
            )
        },
    )
    async def get_langfuse_session(project_id: ProjectId, session_id: SessionId) -> Response:
        """Return the session with its traces, the earliest first."""
        row = await _session(project_id, session_id)
        if row.traces > settings.session_traces_max:
            metrics.LIMITS_REACHED.labels("session_traces_max").inc()
            raise TooManyError(
                f"the session has more than {settings.session_traces_max} traces; read them page"
                " by page from /api/public/traces?sessionId=…"
            )
        traces = await _traces(project_id, session_id)
        await fill_io_from_root_observation(reader, traces)
        return json_response(
            LangfuseSessionDetail(
                id=session_id,
                created_at=iso(row.first_us),
                project_id=project_id,
                environment=row.first_environment,
                traces=[trace_out(each) for each in traces],
            )
        )

    async def _session(project_id: str, session_id: str) -> OwnerRow:
        query = FindOwners(project_id, "session_id", _of_session(session_id), limit=1)
        rows = await read_owners(reader, query)
        if not rows:
            raise NotFoundError(f"Session {session_id[:128]} not found within authorized project")
        return rows[0]

    async def _traces(project_id: str, session_id: str) -> list[StoredTrace]:
        query = FindTraces(
            project_id,
            _of_session(session_id),
            descending=False,
            limit=settings.session_traces_max,
        )
        return await find_traces(reader, query, TRACE_WHOLE)

    return router


def _of_session(session_id: str) -> tuple[Condition, ...]:
    return (Condition(TRACE_COLUMNS["sessionId"], "eq", session_id),)
