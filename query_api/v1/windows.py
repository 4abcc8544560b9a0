"""Serve ``/v1/windows``: count, errors, cost, tokens and latency over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field, create_model
from starlette.responses import Response

from producers.dimensions.dimension import Dimension
from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, TooCostlyError
from query_api.money import pico_of, usd_text
from query_api.openapi.v1_examples import WINDOWS_EXAMPLE
from query_api.responses import json_response
from query_api.store.conditions import Condition
from query_api.store.levels import levels_of
from query_api.store.queries.windows import WINDOW_COLUMNS, WINDOW_DIMENSIONS, ReadWindows
from query_api.store.steps import STEP_S, Step, end_s, runs_of, step_bounds_s
from query_api.times import SECOND_US, Instant, TimeZone, iso
from query_api.v1.parameters import Names, NativeParameters, native_router
from tracemill.clock import now_us

DEFAULT_STEPS: Final = 60
DIMENSIONS: Final = tuple(each.name for each in WINDOW_DIMENSIONS)
Dimensions = Annotated[
    list[Annotated[str, Field(max_length=500, examples=["model"])]], Field(max_length=100)
]
_LAST_S: Final = 2**32 // 60 * 60
"""Latest minute that the store can represent."""


class _Range(NativeParameters):
    from_us: Instant | None = Field(
        default=None,
        alias="from",
        description="Inclusive; by default 60 steps before `to`.",
        examples=["2026-11-21T11:00:00Z"],
    )
    to_us: Instant | None = Field(
        default=None,
        alias="to",
        description="Exclusive; by default now.",
        examples=["2026-11-21T12:00:00Z"],
    )
    step: Step = "1m"
    group_by: Dimensions = Field(
        default=[],
        description=f"Any of {', '.join(DIMENSIONS)}; separate several by commas or repeat it.",
    )


def _filter_of(dimension: Dimension) -> tuple[Any, Any]:
    """Return the definition of the parameter that filters by a dimension."""
    description = dimension.filter_description or f"Only these values of `{dimension.name}`."
    return Names, Field(default=[], description=description)


if TYPE_CHECKING:
    _Filtered = _Range
else:
    _Filtered = create_model(
        "_Filtered",
        __base__=_Range,
        **{each.name: _filter_of(each) for each in WINDOW_DIMENSIONS},
    )


class WindowParameters(_Filtered):
    time_zone: TimeZone = Field(
        default="UTC",
        description="Time zone in which hours and days begin.",
        examples=["Europe/Berlin"],
    )

    def dimensions(self) -> tuple[str, ...]:
        named = [part.strip() for text in self.group_by for part in text.split(",")]
        unknown = [name for name in named if name and name not in DIMENSIONS]
        if unknown:
            message = f"group_by: {unknown[0][:64]!r} is not one of {', '.join(DIMENSIONS)}"
            raise BadRequestError(message, field="group_by", allowed=DIMENSIONS)
        return tuple(dimension for dimension in DIMENSIONS if dimension in named)

    def conditions(self) -> tuple[Condition, ...]:
        wanted = {dimension: getattr(self, dimension) for dimension in DIMENSIONS}
        return tuple(
            Condition(WINDOW_COLUMNS[dimension], "in", tuple(wanted[dimension]))
            for dimension in DIMENSIONS
            if wanted[dimension]
        )

    def bounds_s(self, at_us: int, steps_max: int) -> tuple[int, int]:
        """Return the requested time range in whole minutes.

        Raises:
            BadRequestError: the range is empty, outside the range of the store, or has more than
                ``steps_max`` steps.
        """
        step_s = STEP_S[self.step]
        to_us = at_us if self.to_us is None else self.to_us
        to_s = -(-to_us // (60 * SECOND_US)) * 60
        from_s = to_s - DEFAULT_STEPS * step_s
        if self.from_us is not None:
            from_s = self.from_us // (60 * SECOND_US) * 60
        if from_s >= to_s:
            raise BadRequestError("from: must be before `to`", field="from")
        if to_s <= 0:
            raise BadRequestError(f"to: must be after {iso(0)}", field="to")
        if from_s >= _LAST_S:
            message = f"from: must be before {iso(_LAST_S * SECOND_US)}"
            raise BadRequestError(message, field="from")
        from_s, to_s = max(from_s, 0), min(to_s, _LAST_S)
        if (to_s - from_s) // step_s > steps_max:
            metrics.LIMITS_REACHED.labels("window_steps_max").inc()
            message = f"from: must be at most {steps_max} steps of {self.step} before `to`"
            raise BadRequestError(message, field="from")
        return from_s, to_s


class Latency(msgspec.Struct):
    """Percentiles of the latency in milliseconds; null if no observation has ended."""

    p50: float | None
    p95: float | None
    p99: float | None


class _Step(msgspec.Struct, kw_only=True, gc=False):
    start: str
    end: str


if TYPE_CHECKING:
    _Grouped = _Step
else:
    _Grouped = msgspec.defstruct(
        "_Grouped",
        [(name, str | msgspec.UnsetType, msgspec.UNSET) for name in DIMENSIONS],
        bases=(_Step,),
        kw_only=True,
        gc=False,
    )


class WindowOut(_Grouped, kw_only=True, gc=False):
    count: int
    errors: int
    cost_usd: str
    tokens: dict[str, int]
    latency_ms: Latency


class WindowsMeta(msgspec.Struct, rename={"from_": "from"}):
    from_: str
    to: str
    step: str
    time_zone: str
    group_by: list[str]
    percentile_relative_error: float = 0.01


class WindowList(msgspec.Struct):
    data: list[WindowOut]
    meta: WindowsMeta


class _Amounts(msgspec.Struct):
    start_s: int
    count: int
    errors: int
    cost_usd: str
    tokens: dict[str, int]
    latency_us: list[float | None]


if TYPE_CHECKING:
    _Row = _Amounts
else:
    _Row = msgspec.defstruct(
        "_Row", [(name, str, "") for name in DIMENSIONS], bases=(_Amounts,), module=__name__
    )


def windows_router(context: AppContext) -> APIRouter:
    router = native_router("windows")
    settings = context.settings

    @router.get(
        "/v1/windows",
        summary="Count, errors, cost, tokens and latency over time",
        responses={
            200: context.documented.response(WindowList, "Steps, sorted by start.", WINDOWS_EXAMPLE)
        },
    )
    async def list_windows(
        project_id: ProjectId, parameters: Annotated[WindowParameters, Query()]
    ) -> Response:
        """Return totals and percentiles of each step.

        Steps without observations are omitted. Only observations between `from` and `to`, rounded
        to whole minutes, are included. Percentiles have a relative error of at most 1 %.
        """
        from_s, to_s = parameters.bounds_s(now_us(), settings.window_steps_max)
        dimensions = parameters.dimensions()
        limit = settings.window_rows_max
        bounds_s = step_bounds_s(parameters.step, parameters.time_zone, from_s, to_s)
        levels = await levels_of(context.reader, project_id, from_s, to_s, bounds_s)
        query = ReadWindows(
            project_id,
            from_s,
            to_s,
            runs_of(bounds_s, STEP_S[parameters.step]),
            dimensions,
            parameters.conditions(),
            limit + 1,
            levels,
        )
        rows = await context.reader.rows(query, _Row)
        if len(rows) > limit:
            metrics.LIMITS_REACHED.labels("window_rows_max").inc()
            message = f"more than {limit} rows; request fewer steps or dimensions, or add filters"
            raise TooCostlyError(message)
        meta = WindowsMeta(
            iso(from_s * SECOND_US),
            iso(to_s * SECOND_US),
            parameters.step,
            parameters.time_zone,
            list(dimensions),
        )
        data = [_shown(row, bounds_s, dimensions) for row in rows]
        return json_response(WindowList(data, meta))

    return router


def _shown(row: _Row, bounds_s: Sequence[int], dimensions: tuple[str, ...]) -> WindowOut:
    grouped: dict[str, Any] = {dimension: getattr(row, dimension) for dimension in dimensions}
    return WindowOut(
        start=iso(row.start_s * SECOND_US),
        end=iso(end_s(bounds_s, row.start_s) * SECOND_US),
        count=row.count,
        errors=row.errors,
        cost_usd=usd_text(pico_of(row.cost_usd)),
        tokens=row.tokens,
        latency_ms=Latency(*(_milliseconds(value_us) for value_us in row.latency_us)),
        **grouped,
    )


def _milliseconds(value_us: float | None) -> float | None:
    return None if value_us is None else round(value_us / 1000, 3)
