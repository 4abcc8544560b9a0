"""Serve ``/v1/windows``: counts, costs, tokens, percentiles and caches over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field, create_model
from starlette.responses import Response

from producers.dimensions.dimension import Dimension
from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError
from query_api.openapi.v1_examples import WINDOWS_EXAMPLE
from query_api.responses import json_response
from query_api.store.conditions import Condition
from query_api.store.queries.windows import WINDOW_COLUMNS, WINDOW_DIMENSIONS
from query_api.store.steps import STEP_S, Step
from query_api.times import SECOND_US, RangeInstant, TimeZone, iso
from query_api.v1.parameters import Names, NativeParameters, native_router
from query_api.v1.window_reading import WindowRequest, read_windows
from query_api.v1.window_rows import (
    DIMENSIONS,
    FIELDS,
    WindowOut,
    WindowRow,
    fields_of,
    measures_of,
    shown_rows,
)
from tracemill.clock import now_us

DEFAULT_STEPS: Final = 60
Dimensions = Annotated[
    list[Annotated[str, Field(max_length=500, examples=["model"])]], Field(max_length=100)
]
_LAST_S: Final = 2**32 // 60 * 60
"""Latest minute that the store can represent."""


class _Range(NativeParameters):
    from_us: RangeInstant | None = Field(
        default=None,
        alias="from",
        description="Inclusive; a time, or a duration before now such as `-24h`; by default 60"
        " steps before `to`.",
        examples=["2026-11-21T11:00:00Z"],
    )
    to_us: RangeInstant | None = Field(
        default=None,
        alias="to",
        description="Exclusive; like `from`, by default now.",
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

    def request(self, project_id: str, at_us: int, steps_max: int) -> WindowRequest:
        """Return what is requested.

        Raises:
            BadRequestError: a dimension is unknown, or the range is invalid (see ``bounds_s``).
        """
        from_s, to_s = self.bounds_s(at_us, steps_max)
        return WindowRequest(
            project_id,
            from_s,
            to_s,
            self.step,
            self.time_zone,
            self.dimensions(),
            self.conditions(),
        )

    def bounds_s(self, at_us: int, steps_max: int) -> tuple[int, int]:
        """Return the requested time range in whole minutes, or in steps that are shorter.

        Raises:
            BadRequestError: the range is empty, outside the range of the store, or has more than
                ``steps_max`` steps.
        """
        step_s = STEP_S[self.step]
        unit_s = min(step_s, 60)
        to_us = at_us if self.to_us is None else self.to_us
        to_s = -(-to_us // (unit_s * SECOND_US)) * unit_s
        from_s = to_s - DEFAULT_STEPS * step_s
        if self.from_us is not None:
            from_s = self.from_us // (unit_s * SECOND_US) * unit_s
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


class WindowListParameters(WindowParameters):
    fields: Names = Field(
        default=[],
        description=f"Any of {', '.join(FIELDS)}, by default all; separate several by commas or"
        " repeat it. Percentiles are the largest part of the cost of a long chart.",
    )


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


def meta_of(request: WindowRequest) -> WindowsMeta:
    return WindowsMeta(
        iso(request.from_s * SECOND_US),
        iso(request.to_s * SECOND_US),
        request.step,
        request.time_zone,
        list(request.dimensions),
    )


def windows_router(context: AppContext) -> APIRouter:
    router = native_router("windows")
    settings = context.settings

    @router.get(
        "/v1/windows",
        summary="Counts, costs, tokens, percentiles and caches over time",
        responses={
            200: context.documented.response(WindowList, "Steps, sorted by start.", WINDOWS_EXAMPLE)
        },
    )
    async def list_windows(
        project_id: ProjectId, parameters: Annotated[WindowListParameters, Query()]
    ) -> Response:
        """Return totals and percentiles of each step.

        Steps without observations are omitted. Only observations between `from` and `to`, rounded
        to whole minutes (or steps of ten seconds), are included. Percentiles have a relative error
        of at most 1 %. Observations from before the upgrade to windows of ten seconds are in the
        first ten seconds of their minute, without values of the dimensions that were added then.
        """
        request = parameters.request(project_id, now_us(), settings.window_steps_max)
        fields = fields_of(parameters.fields)
        read = await read_windows(context, request, measures_of(fields), WindowRow)
        data = shown_rows(read.rows, read.bounds_s, request.dimensions, fields)
        return json_response(WindowList(data, meta_of(request)))

    return router
