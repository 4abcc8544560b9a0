"""Show any measure by any dimension as a chart, with the query of ``/v1/query``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from starlette.responses import Response

from query_api.console.explore_charts import Explored, for_templates, read_explored
from query_api.console.explore_fields import DIMENSIONS_OFFERED, OFFERED, VIEWS
from query_api.console.explore_filters import TERMS
from query_api.console.explore_query import (
    DIMENSIONS_MAX,
    TOPS,
    Asked,
    ExploreQuery,
    asked_of,
    form_faults,
    query_of,
)
from query_api.console.form_bodies import Faults
from query_api.console.form_faults import REFUSALS, faults_of, status_of
from query_api.console.page import Page, View
from query_api.console.time_ranges import PRESETS, TimeRange
from query_api.query.chart_kinds import GROUPED, KINDS, MEASURES_MAX, OF_VALUES, OVER_TIME
from query_api.query.periods import STEP_S
from tracemill.clock import now_us

STARTS: Final = {
    view: [
        f"{name}{'>' if name in {'cost', 'latency', 'ttft', 'tokens'} else ':'}" for name in found
    ]
    for view, found in TERMS.items()
}
"""How terms of the filter start, by view."""


async def show(view: View) -> Response:
    """Show the form and its chart; htmx replaces both when a field changes."""
    at_us = now_us()
    faults: Faults = {}
    asked: Asked | None = None
    explored: Explored | None = None
    status = 200
    query = query_of(view.request.query_params, at_us)
    try:
        asked = asked_of(query, view.preferences.zone_name or "UTC", at_us)
        explored = await read_explored(view, asked, at_us)
    except REFUSALS as error:
        faults, status = form_faults(faults_of(error)), status_of(error)
    answer = view.render(
        "explore_part.html" if view.is_part else "explore.html",
        status=status,
        query=query,
        faults=faults,
        explored=explored,
        body="" if asked is None else json.dumps(asked.full, indent=2, ensure_ascii=False),
        **offers(query),
        **for_templates(view),
        range_of=lambda preset: TimeRange(preset, None, None),
        url=lambda **changed: replace(query, **changed).address(view.path()),
    )
    if view.is_part:
        answer.headers["hx-push-url"] = query.address(view.path())
    return answer


def offers(query: ExploreQuery) -> dict[str, Any]:
    """Return what the form offers to choose from."""
    known = query.view if query.view in VIEWS else "observations"
    return {
        "kinds": KINDS,
        "views": VIEWS,
        "offered": OFFERED[known],
        "dimensions": DIMENSIONS_OFFERED[known],
        "starts": STARTS[known],
        "presets": tuple(PRESETS),
        "step_names": tuple(STEP_S),
        "tops": TOPS,
        "measures_max": MEASURES_MAX,
        "dimensions_max": DIMENSIONS_MAX,
        "has_steps": query.kind in OVER_TIME,
        "has_groups": query.kind in GROUPED,
        "is_of_values": query.kind in OF_VALUES,
    }


REGISTERED = (Page("/explore", show, title="Explore", place=45),)
