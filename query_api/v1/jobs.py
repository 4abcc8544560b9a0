"""Serve ``/v1/jobs``: erasures, replays and other work that is attempted until it succeeds."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from query_api.context import AppContext, ProjectId
from query_api.jobs.states import JobState
from query_api.openapi.operations_examples import JOBS_EXAMPLE
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.times import iso
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router

State = Literal["waiting", "retrying", "done", "failed", "dropped"]
_ENDED: Final[dict[str, State]] = {"done": "done", "exhausted": "failed", "dropped": "dropped"}


class JobOut(msgspec.Struct, kw_only=True, gc=False):
    id: str
    kind: str
    """Such as `trace_deletion`, `dead_letter_replay`, `prompt_event` or `alert_test`."""
    state: State
    """`waiting` until its next attempt, `retrying` after failed ones, `done`, `failed` (a dead
    letter), or `dropped` because it is no longer needed."""
    attempts: int
    created_at: str
    updated_at: str
    next_attempt_at: str | None
    detail: str
    """Result of the last attempt."""


class JobList(msgspec.Struct):
    data: list[JobOut]
    meta: NativeMeta


class JobParameters(KeysetParameters):
    kind: Name | None = None
    state: State | None = None


def jobs_router(context: AppContext) -> APIRouter:
    router = native_router("operations")

    @router.get(
        "/v1/jobs",
        summary="List jobs",
        responses={
            200: context.documented.response(
                JobList, "The job that changed last is first.", JOBS_EXAMPLE
            )
        },
    )
    async def list_jobs(
        project_id: ProjectId, parameters: Annotated[JobParameters, Query()]
    ) -> Response:
        """List jobs that were attempted; those that ended, for two weeks.

        Deliveries are in `/v1/deliveries`.
        """
        return json_response(JobList(*read_jobs(context, project_id, parameters)))

    return router


def read_jobs(
    context: AppContext, project_id: str, parameters: JobParameters
) -> tuple[list[JobOut], NativeMeta]:
    """Return a page of jobs.

    Raises:
        BadRequestError: the cursor is not one of this list.
    """
    position = parameters.position()
    found = [
        each
        for each in context.jobs.of(project_id)
        if (parameters.kind is None or each.kind == parameters.kind)
        and (parameters.state is None or state_of(each) == parameters.state)
        and (position is None or (each.updated_us, each.id) < position)
    ]
    page, meta = keyset_page(found, parameters.limit, lambda each: (each.updated_us, each.id))
    return [_shown(each) for each in page], meta


def state_of(job: JobState) -> State:
    """Return the state of a job as the API shows it."""
    return _ENDED.get(job.status, "retrying" if job.attempts else "waiting")


def _shown(job: JobState) -> JobOut:
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=state_of(job),
        attempts=job.attempts,
        created_at=iso(job.created_us),
        updated_at=iso(job.updated_us),
        next_attempt_at=iso(job.next_attempt_us) if job.next_attempt_us else None,
        detail=job.detail,
    )
