"""Complete the values of a search with those of a project's observations."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from query_api.console.page import Data, View
from query_api.console.query_rows import answered_rows
from query_api.console.search import SEARCH_CHARS_MAX
from query_api.console.searches import SEARCHES
from query_api.console.time_ranges import time_range_of
from query_api.errors import BadRequestError, NotFoundError
from query_api.responses import json_response
from query_api.times import SECOND_US, iso
from tracemill.clock import now_us

VALUES_MAX: Final = 30
"""Values that are suggested: those of most observations."""
RANGE_MAX_US: Final = 30 * 86_400 * SECOND_US
"""Length of the range whose values are suggested, to its end."""
TAG: Final = "tag"


async def read_values(view: View) -> Response:
    """Return the most frequent values of a field that contain a text, as a list."""
    search = SEARCHES.get(view.parameter("list"))
    field = search.fields.get(view.parameter("field")) if search else None
    if field is None or not field.dimension:
        raise NotFoundError("field: has no values to suggest")
    text = view.parameter("text")
    if len(text) > SEARCH_CHARS_MAX:
        message = f"text: must have at most {SEARCH_CHARS_MAX} characters"
        raise BadRequestError(message, field="text")
    at_us = now_us()
    chosen = time_range_of(view.request.query_params, at_us, "7d")
    to_us = chosen.to_us or at_us
    from_us = max(chosen.from_us or 0, to_us - RANGE_MAX_US)
    filters = []
    if text and field.dimension != TAG:  # a filter on tags compares whole tags
        filters = [{"field": field.dimension, "operator": "matches", "value": text}]
    body = {
        "measures": ["count"],
        "group_by": [field.dimension],
        "filters": filters,
        "from": iso(from_us),
        "to": iso(to_us),
        "top": VALUES_MAX,
    }
    rows = await answered_rows(view.context, view.project_id, body, at_us)
    values = [row.group.get(field.dimension, "") for row in rows if not row.is_other]
    return json_response([each for each in values if each and text.lower() in each.lower()])


REGISTERED = (Data("/values", read_values),)
