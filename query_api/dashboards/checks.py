"""Check that the charts of a dashboard can be answered, and drawn as they should be."""

from __future__ import annotations

from typing import Any, Final

from query_api.context import AppContext
from query_api.dashboards.bodies import DashboardBody, TileBody
from query_api.errors import BadRequestError
from query_api.query.chart_kinds import (
    GROUPED,
    HISTOGRAM,
    MEASURES_MAX,
    OF_VALUES,
    OVER_TIME,
    RANGES_S,
    step_of,
)
from query_api.query.planned_query import plan_query
from query_api.query.request import is_number
from query_api.times import SECOND_US
from query_api.v1.query_bodies import QueryBody
from tracemill.clock import now_us

DIMENSIONS_MAX: Final = 3
NOT_OF_TILES: Final = {"from_us": "from", "to_us": "to", "limit": "limit", "cursor": "cursor"}


async def check(context: AppContext, project_id: str, body: DashboardBody) -> None:
    """Check what the types of a body do not.

    Raises:
        BadRequestError: two variables have the same name or dimension, or a chart cannot be
            answered; the field is the path in the body, such as ``tiles.3.query.measures.0``.
        TooCostlyError, UnavailableError: as ``plan_query``.
    """
    for name in ("name", "dimension"):
        values = [getattr(each, name) for each in body.variables]
        for at, value in enumerate(values):
            if value in values[:at]:
                message = f"there are two variables with the {name} {value!r}"
                raise _refused(f"variables.{at}.{name}", message)
    length_s = RANGES_S[body.range]
    for at, tile in enumerate(body.tiles):
        try:
            await _check_tile(context, project_id, tile, length_s)
        except BadRequestError as error:
            raise _at(f"tiles.{at}.query", error) from error


async def _check_tile(context: AppContext, project_id: str, tile: TileBody, length_s: int) -> None:
    query = tile.query
    for name, shown in NOT_OF_TILES.items():
        if name in query.model_fields_set:
            raise _refused(shown, "is not allowed: the dashboard has the range and all rows")
    _check_shape(tile)
    at_us = now_us()
    given: dict[str, Any] = {"from_us": at_us - length_s * SECOND_US, "to_us": at_us}
    if tile.chart in OVER_TIME and query.step is None:
        given["step"] = step_of(length_s)
    request = query.model_copy(update=given).request(project_id, at_us, context.settings)
    if tile.chart not in OF_VALUES:
        for metric in request.metrics:
            if not is_number(metric) and metric.name in request.shown:
                field = f"measures.{request.shown.index(metric.name)}"
                raise _refused(field, f"{metric.name} is not a number, as {tile.chart} needs it")
    await plan_query(context.query_engine, request)


def _check_shape(tile: TileBody) -> None:
    query, chart = tile.query, tile.chart
    number = len(query.measures) + len(query.formulas)
    if number > MEASURES_MAX:
        raise _refused("measures", f"at most {MEASURES_MAX} measures and formulas are allowed")
    if len(query.group_by) > DIMENSIONS_MAX:
        raise _refused("group_by", f"at most {DIMENSIONS_MAX} dimensions are allowed")
    if chart == "bar" and not query.group_by:
        raise _refused("group_by", "required for bars, which are of its values")
    if chart not in GROUPED and query.group_by:
        raise _refused("group_by", f"is not allowed for {chart}")
    if chart not in OVER_TIME and query.step is not None:
        raise _refused("step", f"is not allowed for {chart}")
    if chart in OF_VALUES:
        _check_values(query, chart)


def _check_values(query: QueryBody, chart: str) -> None:
    if len(query.measures) != 1 or not query.measures[0].endswith(HISTOGRAM) or query.formulas:
        message = f"one measure with {HISTOGRAM} is required for {chart}, such as latency_ms"
        raise _refused("measures", f"{message}{HISTOGRAM}")
    if query.compare_with is not None:
        raise _refused("compare_with", f"is not allowed for {chart}")


def _refused(field: str, message: str) -> BadRequestError:
    return BadRequestError(f"{field}: {message}", field=field)


def _at(path: str, error: BadRequestError) -> BadRequestError:
    """Return an error about a part of the body by its path in the whole."""
    field = f"{path}.{error.field}" if error.field else path
    message = error.message.removeprefix(f"{error.field}: ")
    return BadRequestError(f"{field}: {message}", field=field, allowed=error.allowed)
