"""Download all traces or observations that a list shows."""

from __future__ import annotations

from starlette.responses import Response

from query_api.console.listing import DEFAULT_RANGE
from query_api.console.page import Data, View
from query_api.console.searches import SEARCHES
from query_api.console.time_ranges import time_range_of
from query_api.errors import BadRequestError
from query_api.store.conditions import Condition
from query_api.v1.export_formats import MEDIA_TYPES
from query_api.v1.export_rows import TABLES
from query_api.v1.exports import exported
from tracemill.clock import now_us


async def read_export(view: View) -> Response:
    """Return the rows of a list as a file, with its search and time range."""
    table = view.parameter("list")
    form = next((each for each in MEDIA_TYPES if each == view.parameter("format")), None)
    if table not in SEARCHES or form is None:
        allowed = f"list: one of {', '.join(SEARCHES)}; format: one of {', '.join(MEDIA_TYPES)}"
        raise BadRequestError(allowed, field="list" if form else "format")
    columns = TABLES[table].columns
    start = columns[TABLES[table].start]
    chosen = time_range_of(view.request.query_params, now_us(), DEFAULT_RANGE)
    bounds = (
        Condition(start, "ge", chosen.from_us or 0),
        Condition(start, "lt", chosen.to_us or now_us()),
    )
    conditions = (*bounds, *SEARCHES[table].conditions_of(view.parameter("q")))
    return await exported(view.context, view.project_id, table, conditions, form)


REGISTERED = (Data("/export", read_export),)
