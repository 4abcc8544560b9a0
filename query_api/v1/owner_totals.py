"""Serve what a user or a session has spent: ``/v1/users/{id}/cost``, and totals of both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, TooCostlyError
from query_api.money import pico_of, usd_text
from query_api.numbers import Whole
from query_api.openapi.totals_examples import (
    SESSION_TOTALS_EXAMPLE,
    USER_COST_EXAMPLE,
    USER_TOTALS_EXAMPLE,
)
from query_api.responses import json_response
from query_api.store.queries.totals import Owner, SpendByDay, SpendByModel, SumTraces
from query_api.store.steps import STEP_S, runs_of, step_bounds_s
from query_api.times import SECOND_US, RangeInstant, TimeZone, iso, iso_or_none
from query_api.v1.parameters import NativeParameters, native_router
from query_api.v1.spend_amounts import ModelSpend, SpendRowOfModel, Tokens, by_model, summed
from tracemill.clock import now_us

DAYS_MAX: Final = 366
DEFAULT_DAYS: Final = 7
ID_CHARS_MAX: Final = 1_000
_DAY_S: Final = STEP_S["1d"]
_LAST_S: Final = 2**32 // 86_400 * 86_400 - 2 * 86_400
"""Latest time that can be requested, so that all days are within the range of the store."""

UserId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=ID_CHARS_MAX,
        examples=["user-17"],
        description="A slash may be encoded as `%2F` or not.",
    ),
]
SessionId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=ID_CHARS_MAX,
        examples=["session-4"],
        description="A slash may be encoded as `%2F` or not.",
    ),
]


class CostParameters(NativeParameters):
    days: Whole | None = Field(
        default=None,
        ge=1,
        le=DAYS_MAX,
        description=f"Number of days up to and including that of `to`; by default {DEFAULT_DAYS}.",
    )
    from_us: RangeInstant | None = Field(
        default=None,
        alias="from",
        description="A time on the first day, such as 2026-11-15T00:00:00Z; instead of `days`.",
    )
    to_us: RangeInstant | None = Field(
        default=None,
        alias="to",
        description="Exclusive end; the day that contains it is the last one. By default now.",
        examples=["2026-11-22T00:00:00Z"],
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Time zone in which days begin.", examples=["Europe/Berlin"]
    )

    def days_s(self, at_us: int) -> Sequence[int]:
        """Return the starts of the days, and the end of the last one, in seconds.

        Raises:
            BadRequestError: the range is empty, too long, or outside the range of the store.
        """
        if self.days is not None and self.from_us is not None:
            raise BadRequestError("days: set either `days` or `from`", field="days")
        to_us = at_us if self.to_us is None else self.to_us
        last_s = -(-to_us // SECOND_US) - 1
        if not _DAY_S <= last_s <= _LAST_S:
            raise BadRequestError("to: is outside the range of the store", field="to")
        if self.from_us is None:
            days = self.days or DEFAULT_DAYS
            begin_s = max(last_s - (days + 1) * _DAY_S, 0)
            return step_bounds_s("1d", self.time_zone, begin_s, last_s + 1)[-days - 1 :]
        from_s = self.from_us // SECOND_US
        if from_s > last_s:
            raise BadRequestError("from: must be before `to`", field="from")
        if last_s - from_s > (DAYS_MAX + 1) * _DAY_S:
            raise _too_many_days()
        bounds_s = step_bounds_s("1d", self.time_zone, max(from_s, 0), last_s + 1)
        if len(bounds_s) - 1 > DAYS_MAX:
            raise _too_many_days()
        return bounds_s


def _too_many_days() -> BadRequestError:
    message = f"from: must be at most {DAYS_MAX} days before `to`"
    return BadRequestError(message, field="from")


class DayCost(msgspec.Struct, kw_only=True):
    date: str
    cost_usd: str
    unpriced: int
    """Number of calls without a known price; the cost does not include them."""
    tokens: Tokens
    by_model: list[ModelSpend]


class CostMeta(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    to: str
    time_zone: str
    cost_usd: str
    """Cost of all days."""
    unpriced: int
    """Number of calls of all days without a known price."""


class UserCost(msgspec.Struct):
    data: list[DayCost]
    meta: CostMeta


class Totals(msgspec.Struct, kw_only=True):
    cost_usd: str
    unpriced: int
    """Number of observations without a known price; the cost does not include them."""
    tokens: Tokens
    traces: int
    observations: int
    errors: int
    first_seen: str | None
    """Start of the first trace; null if there is none."""
    last_seen: str | None
    """Latest end of a trace; null if there is none."""
    by_model: list[ModelSpend]


class UserTotals(Totals, kw_only=True):
    user_id: str


class SessionTotals(Totals, kw_only=True):
    session_id: str


class _DayRow(SpendRowOfModel, kw_only=True):
    start_s: int


class _Traces(msgspec.Struct):
    traces: int
    cost_usd: str
    observations: int
    errors: int
    unpriced: int
    first_us: int
    last_us: int


def owner_totals_router(context: AppContext) -> APIRouter:
    """Return the routes."""
    router = native_router("totals")
    rows_max = context.settings.window_rows_max

    async def totals_of(project_id: str, owner: Owner, value: str) -> Totals:
        rows = await context.reader.rows(
            SpendByModel(project_id, owner, value, rows_max + 1), SpendRowOfModel
        )
        _require_rows(len(rows), rows_max)
        traces = await context.reader.row(SumTraces(project_id, owner, value), _Traces)
        assert traces is not None
        _, tokens = summed(rows)
        return Totals(
            cost_usd=usd_text(pico_of(traces.cost_usd)),
            unpriced=traces.unpriced,
            tokens=tokens,
            traces=traces.traces,
            observations=traces.observations,
            errors=traces.errors,
            first_seen=iso_or_none(traces.first_us),
            last_seen=iso_or_none(traces.last_us),
            by_model=by_model(rows),
        )

    @router.get(
        "/v1/users/{user_id:path}/cost",
        summary="Get the cost of a user by day",
        responses={
            200: context.documented.response(UserCost, "Every day, in order.", USER_COST_EXAMPLE)
        },
    )
    async def user_cost(
        project_id: ProjectId, user_id: UserId, parameters: Annotated[CostParameters, Query()]
    ) -> Response:
        """Return cost and tokens of each day; days without calls have zeros.

        A user without any calls has zeros, too. Calls count on the day on which they started.
        """
        bounds_s = parameters.days_s(now_us())
        query = SpendByDay(
            project_id,
            "user_id",
            user_id,
            bounds_s[0],
            bounds_s[-1],
            runs_of(bounds_s, _DAY_S),
            rows_max + 1,
        )
        rows = await context.reader.rows(query, _DayRow)
        _require_rows(len(rows), rows_max)
        of_day: dict[int, list[_DayRow]] = {start_s: [] for start_s in bounds_s[:-1]}
        for row in rows:
            of_day[row.start_s].append(row)
        zone = ZoneInfo(parameters.time_zone)
        meta = CostMeta(
            iso(bounds_s[0] * SECOND_US),
            iso(bounds_s[-1] * SECOND_US),
            parameters.time_zone,
            usd_text(summed(rows)[0]),
            sum(row.unpriced for row in rows),
        )
        data = [_day(start_s, of_day[start_s], zone) for start_s in bounds_s[:-1]]
        return json_response(UserCost(data, meta))

    @router.get(
        "/v1/users/{user_id:path}/totals",
        summary="Get the totals of a user",
        responses={200: context.documented.response(UserTotals, "Totals.", USER_TOTALS_EXAMPLE)},
    )
    async def user_totals(project_id: ProjectId, user_id: UserId) -> Response:
        """Return cost, tokens and traces of a user since the beginning; zeros if unknown."""
        totals = await totals_of(project_id, "user_id", user_id)
        return json_response(UserTotals(user_id=user_id, **msgspec.structs.asdict(totals)))

    @router.get(
        "/v1/sessions/{session_id:path}/totals",
        summary="Get the totals of a session",
        responses={
            200: context.documented.response(SessionTotals, "Totals.", SESSION_TOTALS_EXAMPLE)
        },
    )
    async def session_totals(project_id: ProjectId, session_id: SessionId) -> Response:
        """Return cost, tokens and traces of a session so far; zeros if it is unknown."""
        totals = await totals_of(project_id, "session_id", session_id)
        return json_response(SessionTotals(session_id=session_id, **msgspec.structs.asdict(totals)))

    return router


def _require_rows(found: int, rows_max: int) -> None:
    if found > rows_max:
        metrics.LIMITS_REACHED.labels("window_rows_max").inc()
        raise TooCostlyError(f"more than {rows_max} days and models; request fewer days")


def _day(start_s: int, rows: list[_DayRow], zone: ZoneInfo) -> DayCost:
    pico, tokens = summed(rows)
    return DayCost(
        date=_date_of(start_s, zone),
        cost_usd=usd_text(pico),
        unpriced=sum(row.unpriced for row in rows),
        tokens=tokens,
        by_model=by_model(rows),
    )


def _date_of(start_s: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(start_s, zone).date().isoformat()
