"""Serve ``/v1/dead-letters/replays``: send the events of dead letters again."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from pydantic import AfterValidator, ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.dead_letter_replay import (
    LETTERS_MAX,
    REPLAY_MEMORY_H,
    DeadLetterReplay,
)
from query_api.body import Body
from query_api.context import AppContext, Author, ProjectId
from query_api.errors import BadRequestError, ConflictError
from query_api.openapi.operations_examples import (
    REPLAY_EXAMPLE,
    REPLAY_REQUEST_EXAMPLE,
    REPLAYS_EXAMPLE,
)
from query_api.responses import json_response
from query_api.times import iso
from query_api.v1.control_requests import IdempotencyKey, create_request, request_id
from query_api.v1.dead_letters import DEAD_LETTER_ID_MAX, read_by_id
from query_api.v1.parameters import native_router
from tracemill.clock import now_us


def _without_repetitions(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))


class ReplayBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [REPLAY_REQUEST_EXAMPLE]}
    )

    ids: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=DEAD_LETTER_ID_MAX)]],
        AfterValidator(_without_repetitions),
    ] = Field(
        min_length=1, max_length=LETTERS_MAX, description="Dead letters with `not_replayable` null."
    )


class ReplayOut(msgspec.Struct, kw_only=True):
    id: str
    dead_letter_ids: list[str]
    state: str
    """`queued`, `done`, or `failed`: `/v1/jobs` has the reason, and a new replay is needed."""
    sent: int
    """Number of events that were sent; the others are no longer stored."""
    author: str
    created_at: str
    ended_at: str | None


class ReplayList(msgspec.Struct):
    data: list[ReplayOut]


def dead_letter_replays_router(context: AppContext) -> APIRouter:
    router = native_router("dead letters")
    documented = context.documented

    @router.post(
        "/v1/dead-letters/replays",
        status_code=202,
        summary="Replay dead letters",
        responses={
            202: documented.response(ReplayOut, "The events will be sent again.", REPLAY_EXAMPLE)
        },
    )
    async def replay_dead_letters(
        project_id: ProjectId,
        author: Author,
        body: ReplayBody,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Send the events of dead letters to the pipeline again, as a job.

        A replayed event changes no total twice, because an event replaces earlier copies of itself.
        If it is refused again, it becomes another dead letter.
        """
        replay = await request_replay(context, project_id, body, author, idempotency_key)
        return json_response(shown_replay(context, replay), status=202)

    @router.get(
        "/v1/dead-letters/replays",
        summary="List replays of dead letters",
        responses={
            200: documented.response(
                ReplayList, "Newest first; those of the last two weeks.", REPLAYS_EXAMPLE
            )
        },
    )
    async def list_replays(project_id: ProjectId) -> Response:
        return json_response(
            ReplayList([shown_replay(context, each) for each in replays_of(context, project_id)])
        )

    return router


def replays_of(context: AppContext, project_id: str) -> list[DeadLetterReplay]:
    """Return the replays of a project, newest first."""
    held = context.control.view.in_project(DeadLetterReplay, project_id).values()
    return sorted(held, key=lambda each: each.position, reverse=True)


def shown_replay(context: AppContext, replay: DeadLetterReplay) -> ReplayOut:
    """Return a replay as the API shows it."""
    job = context.jobs.get(replay.kind, replay.id)
    has_failed = replay.state == "queued" and job is not None and job.status == "exhausted"
    return ReplayOut(
        id=replay.id,
        dead_letter_ids=list(replay.dead_letter_ids),
        state="failed" if has_failed else replay.state,
        sent=replay.sent,
        author=replay.author,
        created_at=iso(replay.created_us),
        ended_at=iso(replay.ended_us) if replay.ended_us else None,
    )


async def request_replay(
    context: AppContext,
    project_id: str,
    body: ReplayBody,
    author: str,
    idempotency_key: str | None = None,
) -> DeadLetterReplay:
    """Create the request of a replay, which a job carries out.

    Raises:
        BadRequestError: a dead letter is not stored.
        ConflictError: one cannot be replayed, or the project has too many replays.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
        ControlError: the control log does not respond.
    """
    replay = DeadLetterReplay(
        id=request_id("rpl", idempotency_key, project_id, body.ids),
        project_id=project_id,
        dead_letter_ids=tuple(body.ids),
        author=author,
        created_us=now_us(),
    )
    return await create_request(
        context,
        replay,
        memory_h=REPLAY_MEMORY_H,
        check=lambda: _check(context, project_id, body.ids),
    )


async def _check(context: AppContext, project_id: str, ids: list[str]) -> None:
    """Refuse dead letters that are not stored, or cannot be replayed."""
    found = {each.id: each for each in await read_by_id(context, project_id, tuple(ids))}
    for each in ids:
        if each not in found:
            raise BadRequestError(f"ids: no dead letter {each[:64]!r}", field="ids")
        if why := found[each].not_replayable:
            raise ConflictError(f"dead letter {each} cannot be replayed: {why}")
