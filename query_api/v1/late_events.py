"""Serve ``/v1/late-events``: observations that changed windows long after these had ended."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api.context import AppContext, ProjectId
from query_api.money import pico_of, usd_text
from query_api.openapi.v1_examples import LATE_EVENTS_EXAMPLE
from query_api.responses import json_response
from query_api.store.queries.late_events import FindLateEvents
from query_api.times import SECOND_US, RangeInstant, iso
from query_api.v1.parameters import (
    KeysetParameters,
    keyset_page,
    native_router,
    range_before,
)
from tracemill.clock import now_us

DEFAULT_RANGE_US: Final = 30 * 86_400 * SECOND_US
HOUR_US: Final = 3_600 * SECOND_US


class LateEventParameters(KeysetParameters):
    from_us: RangeInstant | None = Field(
        default=None,
        alias="from",
        description="Earliest start; by default 30 days before `to`.",
        examples=["2026-11-21T11:00:00Z"],
    )
    to_us: RangeInstant | None = Field(
        default=None,
        alias="to",
        description="Latest start, exclusive; by default now.",
        examples=["2026-11-21T12:00:00Z"],
    )

    def range_us(self, at_us: int) -> tuple[int, int]:
        """Return the range of starts, that of the first page on later ones.

        Raises:
            BadRequestError: the range is empty.
        """
        return self.first_range_us() or range_before(
            self.from_us, self.to_us, at_us=at_us, default_us=DEFAULT_RANGE_US
        )


class LateEvent(msgspec.Struct, kw_only=True, gc=False):
    id: str
    trace_id: str
    type: str
    name: str
    model: str
    environment: str
    cost_usd: str
    start: str
    received: str
    """When the last event of the observation was received."""
    late_s: float
    """Seconds from its start until then."""


class LateEventsMeta(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    to: str
    late_after_h: int
    has_more: bool
    cursor: str | None


class LateEventList(msgspec.Struct):
    data: list[LateEvent]
    meta: LateEventsMeta


class _Row(msgspec.Struct):
    id: str
    trace_id: str
    type: str
    name: str
    model: str
    environment: str
    cost_usd: str
    start_us: int
    received_us: int


def late_events_router(context: AppContext) -> APIRouter:
    """Return the route."""
    router = native_router("windows")

    @router.get(
        "/v1/late-events",
        summary="List observations that were received late",
        responses={
            200: context.documented.response(
                LateEventList, "By start, the latest first.", LATE_EVENTS_EXAMPLE
            )
        },
    )
    async def list_late_events(
        project_id: ProjectId, parameters: Annotated[LateEventParameters, Query()]
    ) -> Response:
        """Return observations whose last event was received long after they began.

        They are counted in windows, spend and traces like all others, but alert rules no longer
        evaluate the time in which they began. Events with a time more than ten years ago, or more
        than a day in the future, are refused instead (`/v1/dead-letters`).
        """
        return json_response(await read_late_events(context, project_id, parameters))

    return router


async def read_late_events(
    context: AppContext, project_id: str, parameters: LateEventParameters
) -> LateEventList:
    """Read a page of observations that were received late.

    Raises:
        BadRequestError: a parameter is invalid.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    late_after_h = context.settings.late_after_h
    from_us, to_us = parameters.range_us(now_us())
    query = FindLateEvents(
        project_id,
        from_us,
        to_us,
        late_after_h * HOUR_US // 1_000,
        parameters.limit + 1,
        parameters.position(),
    )
    rows = await context.reader.rows(query, _Row)
    page, meta = keyset_page(
        rows, parameters.limit, lambda row: (row.start_us, row.id), (from_us, to_us)
    )
    return LateEventList(
        [_shown(row) for row in page],
        LateEventsMeta(iso(from_us), iso(to_us), late_after_h, meta.has_more, meta.cursor),
    )


def _shown(row: _Row) -> LateEvent:
    return LateEvent(
        id=row.id,
        trace_id=row.trace_id,
        type=row.type,
        name=row.name,
        model=row.model,
        environment=row.environment,
        cost_usd=usd_text(pico_of(row.cost_usd)),
        start=iso(row.start_us),
        received=iso(row.received_us),
        late_s=round((row.received_us - row.start_us) / SECOND_US, 3),
    )
