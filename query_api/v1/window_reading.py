"""Read the windows of a request, by step and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from query_api import metrics
from query_api.context import AppContext
from query_api.errors import TooCostlyError
from query_api.store.conditions import Condition
from query_api.store.levels import NOTHING, have_percentiles, levels_of, split_by_steps
from query_api.store.queries.windows import ReadWindows
from query_api.store.steps import STEP_S, Step, runs_of, step_bounds_s

RowT = TypeVar("RowT", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """A range of time in steps, with dimensions and filters."""

    project_id: str
    from_s: int
    to_s: int
    step: Step
    time_zone: str
    dimensions: tuple[str, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class WindowRows(Generic[RowT]):
    """Rows sorted by start, and the bounds of the steps in seconds."""

    rows: Sequence[RowT]
    bounds_s: Sequence[int]


async def read_windows(
    context: AppContext, request: WindowRequest, measures: tuple[str, ...], row_type: type[RowT]
) -> WindowRows[RowT]:
    """Return the rows of a request, with the columns ``start_s``, dimensions and measures.

    Raises:
        TooCostlyError: there are more than ``window_rows_max`` rows, or a limit of the store was
            reached.
        UnavailableError: the store does not answer.
    """
    limit = context.settings.window_rows_max
    bounds_s = step_bounds_s(request.step, request.time_zone, request.from_s, request.to_s)
    levels = await levels_of(
        context.reader, request.project_id, request.from_s, request.to_s, bounds_s
    )
    single = NOTHING
    if levels is not None and have_percentiles(request.dimensions, request.conditions):
        single, levels = split_by_steps(levels, bounds_s)
    query = ReadWindows(
        request.project_id,
        request.from_s,
        request.to_s,
        runs_of(bounds_s, STEP_S[request.step]),
        request.dimensions,
        request.conditions,
        limit + 1,
        levels,
        measures,
        single,
    )
    rows = await context.reader.rows(query, row_type)
    if len(rows) > limit:
        metrics.LIMITS_REACHED.labels("window_rows_max").inc()
        message = f"more than {limit} rows; request fewer steps or dimensions, or add filters"
        raise TooCostlyError(message)
    return WindowRows(rows, bounds_s)
