"""Serve ``/v1/dead-letters``: events and records that could not be processed."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from query_api.context import AppContext, ProjectId
from query_api.openapi.v1_examples import DEAD_LETTER_LIST_EXAMPLE
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.queries.dead_letters import FindDeadLetters
from query_api.store.rows import StoredDeadLetter
from query_api.times import iso
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router

_STAGES_OF_INPUT: Final = frozenset({"gateway", "observations"})
"""Stages whose dead letters contain only what the project sent."""
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


class DeadLetterList(msgspec.Struct):
    data: list[DeadLetterOut]
    meta: NativeMeta


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

    return router


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
    return DeadLetterOut(
        id=row.id,
        stage=row.stage,
        reason=row.reason,
        detail=row.detail,
        source_topic=row.source_topic or None,
        payload=row.payload if row.stage in _STAGES_OF_INPUT else without_positions(row.payload),
        created_at=iso(row.created_us),
    )
