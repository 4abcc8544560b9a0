"""Serve ``/v1/dead-letters``: events and records that could not be processed."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from producers.dead_letter_replays import why_not_replayed
from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.openapi.operations_examples import DEAD_LETTER_EXAMPLE, REASONS_EXAMPLE
from query_api.openapi.v1_examples import DEAD_LETTER_LIST_EXAMPLE
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.queries.dead_letters import (
    CountDeadLetters,
    FindDeadLetters,
    FindDeadLettersById,
)
from query_api.store.rows import StoredDeadLetter
from query_api.times import iso
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router

_STAGES_OF_INPUT: Final = frozenset({"gateway", "observations"})
"""Stages whose dead letters contain only what the project sent."""
DEAD_LETTER_ID_MAX: Final = 512
DeadLetterId = Annotated[
    str, Path(max_length=DEAD_LETTER_ID_MAX, examples=[DEAD_LETTER_EXAMPLE["id"]])
]
_ROW_VERSION: Final = re.compile(r'("row_version":)-?\d+')
_DELTA_POSITION: Final = re.compile(r'^(\["(?:[^"\\]|\\.)*",)-?\d+,-?\d+')


class DeadLetterOut(msgspec.Struct, kw_only=True, gc=False):
    id: str
    stage: str
    """Stage that rejected it, such as ``gateway``, ``observations`` or ``sink``."""
    reason: str
    detail: str
    source_topic: str | None
    payload: str
    created_at: str
    not_replayable: str | None
    """Why it cannot be replayed; null: it can."""


class DeadLetterList(msgspec.Struct):
    data: list[DeadLetterOut]
    meta: NativeMeta


class DeadLetterReason(msgspec.Struct, kw_only=True):
    stage: str
    reason: str
    count: int
    last_at: str
    """When the newest of them was created."""


class DeadLetterReasons(msgspec.Struct):
    data: list[DeadLetterReason]


class _ReasonRow(msgspec.Struct):
    stage: str
    reason: str
    count: int
    last_us: int


class DeadLetterParameters(KeysetParameters):
    stage: Name | None = None
    reason: Name | None = None


def dead_letters_router(context: AppContext) -> APIRouter:
    router = native_router("dead letters")

    @router.get(
        "/v1/dead-letters",
        summary="List dead letters",
        responses={
            200: context.documented.response(
                DeadLetterList, "Newest first.", DEAD_LETTER_LIST_EXAMPLE
            )
        },
    )
    async def list_dead_letters(
        project_id: ProjectId, parameters: Annotated[DeadLetterParameters, Query()]
    ) -> Response:
        return json_response(
            DeadLetterList(*await read_dead_letters(context, project_id, parameters))
        )

    @router.get(
        "/v1/dead-letters/reasons",
        summary="Count dead letters by reason",
        responses={
            200: context.documented.response(
                DeadLetterReasons, "The most frequent reasons first, at most 100.", REASONS_EXAMPLE
            )
        },
    )
    async def count_dead_letters(project_id: ProjectId) -> Response:
        """Return how many dead letters are stored, by the stage that rejected them and why."""
        return json_response(DeadLetterReasons(await count_reasons(context, project_id)))

    @router.get(
        "/v1/dead-letters/{dead_letter_id}",
        summary="Get a dead letter",
        responses={
            200: context.documented.response(
                DeadLetterOut, "The dead letter with its payload.", DEAD_LETTER_EXAMPLE
            )
        },
    )
    async def get_dead_letter(project_id: ProjectId, dead_letter_id: DeadLetterId) -> Response:
        return json_response(await read_dead_letter(context, project_id, dead_letter_id))

    return router


async def read_dead_letter(
    context: AppContext, project_id: str, dead_letter_id: str
) -> DeadLetterOut:
    """Read a dead letter.

    Raises:
        NotFoundError: the project has no such dead letter.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    rows = await read_by_id(context, project_id, (dead_letter_id,))
    if not rows:
        raise NotFoundError(f"no dead letter {dead_letter_id!r}")
    return rows[0]


async def read_by_id(
    context: AppContext, project_id: str, ids: tuple[str, ...]
) -> list[DeadLetterOut]:
    """Read those dead letters of a project that are stored, newest first.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    rows = await context.reader.rows(FindDeadLettersById(project_id, ids), StoredDeadLetter)
    return [_shown(row) for row in rows]


async def count_reasons(context: AppContext, project_id: str) -> list[DeadLetterReason]:
    """Count dead letters by stage and reason. Raises like ``Reader.rows``."""
    rows = await context.reader.rows(CountDeadLetters(project_id), _ReasonRow)
    return [
        DeadLetterReason(
            stage=row.stage, reason=row.reason, count=row.count, last_at=iso(row.last_us)
        )
        for row in rows
    ]


async def read_dead_letters(
    context: AppContext, project_id: str, parameters: DeadLetterParameters
) -> tuple[list[DeadLetterOut], NativeMeta]:
    """Read a page of dead letters, newest first.

    Raises:
        BadRequestError: a parameter is invalid.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    query = FindDeadLetters(
        project_id,
        parameters.limit + 1,
        parameters.position(),
        parameters.stage or "",
        parameters.reason or "",
    )
    rows = await context.reader.rows(query, StoredDeadLetter)
    page, meta = keyset_page(rows, parameters.limit, lambda row: (row.created_us, row.id))
    return [_shown(row) for row in page], meta


def without_positions(payload: str) -> str:
    """Return a payload without positions in topics, which all projects share.

    Dead letters of the streams and of the sink contain what other stages wrote: changes of windows
    begin with the partition and offset of their events, and rows have a version from an offset.
    """
    payload = _ROW_VERSION.sub(r"\1null", payload)
    return _DELTA_POSITION.sub(r"\1null,null", payload)


def _shown(row: StoredDeadLetter) -> DeadLetterOut:
    why = why_not_replayed(row.stage, row.reason, row.detail, row.source_topic)
    return DeadLetterOut(
        id=row.id,
        stage=row.stage,
        reason=row.reason,
        detail=row.detail,
        source_topic=row.source_topic or None,
        payload=row.payload if row.stage in _STAGES_OF_INPUT else without_positions(row.payload),
        created_at=iso(row.created_us),
        not_replayable=None if why is None else str(why),
    )
