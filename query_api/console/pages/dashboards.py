"""List dashboards, and show one with its tiles, each of which the page loads by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from producers.documents.kinds.dashboard import Dashboard
from query_api.console.dashboard_layout import DIRECTIONS
from query_api.console.dashboard_state import DashboardState, state_of
from query_api.console.dashboard_tiles import asked_of_tile, explore_of, not_filtering
from query_api.console.explore_charts import Explored, for_templates, read_explored
from query_api.console.explore_filters import list_address
from query_api.console.form_bodies import Faults, digits_in
from query_api.console.form_faults import REFUSALS, faults_of, status_of
from query_api.console.page import Data, Page, View
from query_api.console.query_rows import answered_rows
from query_api.console.record_lists import page_number
from query_api.console.responses import see_other
from query_api.console.time_ranges import PRESETS
from query_api.dashboards.bodies import COLUMNS, ROWS_MAX, TILES_MAX, body_values
from query_api.dashboards.variables import field_of
from query_api.documents.document import Document, version_of
from query_api.errors import NotFoundError
from query_api.query.chart_kinds import KINDS
from query_api.query.dimension import View as QueryView
from query_api.query.native_fields import DIMENSIONS
from query_api.responses import json_response
from query_api.times import iso
from query_api.v1.document_crud import found_document
from tracemill.clock import now_us

ROWS: Final = 50
VALUES: Final = 30
"""Values of a variable that are offered: those of most observations, traces or scores."""
VIEWS: Final[tuple[QueryView, ...]] = ("observations", "traces", "scores")
_GROUPS: Final = {"tags": "tag"}
"""Dimensions whose field has another name."""


async def show_list(view: View) -> Response:
    """Show a page of dashboards, the newest first."""
    page = page_number(view)
    found, total = await view.context.documents.page(
        Dashboard, view.project_id, offset=(page - 1) * ROWS, limit=ROWS
    )
    return view.render(
        "dashboards.html",
        rows=found,
        may_write=view.may("write"),
        is_first=page == 1,
        following=f"?page={page + 1}" if total > page * ROWS else "",
    )


async def show(view: View) -> Response:
    """Show a dashboard, whose tiles are loaded after it.

    The form of the controls leads here with empty fields, which are left out of the address.
    """
    dashboard = await dashboard_of(view)
    given = view.request.query_params.multi_items()
    if any(not value for _, value in given):
        state = state_of(dashboard.body, view.request.query_params, now_us())
        if given != state.parameters:
            path = dashboard_path(view, dashboard.id)
            return see_other(f"{path}?{state.query}" if state.parameters else path)
    return show_dashboard(view, dashboard)


def show_dashboard(
    view: View, dashboard: Document[Dashboard], faults: Faults | None = None, status: int = 200
) -> Response:
    """Show a dashboard, with what was wrong with the last change of it."""
    parameters = view.request.query_params
    state = state_of(dashboard.body, parameters, now_us())
    may_write = view.may("write")
    return view.render(
        "dashboard.html",
        status=status,
        dashboard=dashboard,
        body=dashboard.body,
        state=state,
        path=dashboard_path(view, dashboard.id),
        presets=tuple(PRESETS),
        is_edited=state.is_edited and may_write,
        may_write=may_write,
        version=version_of(dashboard.body),
        faults=faults or {},
        directions=DIRECTIONS,
        chart_kinds=KINDS,
        columns=COLUMNS,
        rows_max=ROWS_MAX,
        tiles_max=TILES_MAX,
        last_at=view.parameter("at"),
        last_do=view.parameter("do"),
    )


async def show_tile(view: View) -> Response:
    """Show a chart of a dashboard: alone, or as a part of its page."""
    dashboard = await dashboard_of(view)
    at = view.request.path_params["at"]
    number = tile_number(dashboard, at)
    if number is None:
        raise NotFoundError(f"the dashboard has no tile {at[:20]!r}")
    tile, at_us = dashboard.body.tiles[number], now_us()
    state = state_of(dashboard.body, view.request.query_params, at_us)
    bounds_us = state.bounds_us(at_us)
    asked = asked_of_tile(tile, state.values, bounds_us, view.preferences.zone_name or "UTC")
    explored: Explored | None = None
    faults: Faults = {}
    status = 200
    try:
        explored = await read_explored(view, asked, at_us)
    except REFUSALS as error:
        faults, status = faults_of(error), status_of(error)
    explore = explore_of(asked, state.range)
    return view.render(
        "dashboard_tile.html" if view.is_part else "dashboard_tile_page.html",
        status=200 if view.is_part else status,
        dashboard=dashboard,
        state=state,
        tile=tile,
        explored=explored,
        fault="; ".join(f"{name}: {text}" if name else text for name, text in faults.items()),
        path=dashboard_path(view, dashboard.id),
        tile_path=f"{dashboard_path(view, dashboard.id)}/tiles/{at}",
        explore="" if explore is None else explore.address(view.path()),
        listed=""
        if asked.unlisted
        else list_address(view.path(), asked.view, bounds_us, asked.terms),
        unfiltered=not_filtering(tile, state.values),
        **for_templates(view),
    )


async def show_values(view: View) -> Response:
    """Show the values of a control that can be chosen, with their numbers."""
    dashboard = await dashboard_of(view)
    at_us = now_us()
    state = state_of(dashboard.body, view.request.query_params, at_us)
    name = view.parameter("of")
    control = next((each for each in state.controls if each.parameter == name), None)
    if control is None:
        raise NotFoundError(f"the dashboard has no variable {name[:100]!r}")
    counts = await _counts(view, control.dimension, state, at_us)
    chosen = {value: counts.pop(value, None) for value in control.chosen}
    return view.render(
        "dashboard_values.html" if view.is_part else "dashboard_values_page.html",
        control=control,
        values=[*chosen.items(), *counts.items()],
        back=f"{dashboard_path(view, dashboard.id)}?{state.query}",
    )


async def _counts(
    view: View, dimension: str, state: DashboardState, at_us: int
) -> dict[str, int | None]:
    """Return the most frequent values of a dimension in the range, with their numbers."""
    of_view = next(each for each in VIEWS if field_of(each, dimension) is not None)
    field = field_of(of_view, dimension) or dimension
    group = _GROUPS.get(field, field)
    assert group in DIMENSIONS[of_view], group
    from_us, to_us = state.bounds_us(at_us)
    body = {"view": of_view, "measures": ["count"], "group_by": [group], "top": VALUES,
            "from": iso(from_us), "to": iso(to_us)}  # fmt: skip
    rows = await answered_rows(view.context, view.project_id, body, at_us)
    return {
        row.group[group]: row.values["count"]
        for row in rows
        if not row.is_other and row.group.get(group)
    }


async def read_definition(view: View) -> Response:
    """Return a dashboard as a file, which ``POST /v1/dashboards`` accepts."""
    dashboard = await dashboard_of(view)
    answer = json_response(body_values(dashboard.body))
    answer.headers["content-disposition"] = 'attachment; filename="dashboard.json"'
    return answer


async def dashboard_of(view: View) -> Document[Dashboard]:
    """Return the dashboard in the path. Raises: NotFoundError: there is none."""
    id_ = view.request.path_params["dashboard_id"]
    return await found_document(view.context, Dashboard, view.project_id, id_)


def tile_number(dashboard: Document[Dashboard], text: str) -> int | None:
    """Return the number of a tile; None if the dashboard does not have it."""
    number = digits_in(text, len(str(TILES_MAX)))
    return number if number is not None and number < len(dashboard.body.tiles) else None


def dashboard_path(view: View, id_: str) -> str:
    """Return the path of a dashboard."""
    return view.path("dashboards", id_)


def body_of_dashboard(dashboard: Document[Dashboard], **changed: Any) -> Mapping[str, Any]:
    """Return the body of a request that changes a part of a dashboard."""
    return {**body_values(dashboard.body), **changed}


REGISTERED = (
    Page("/dashboards", show_list, title="Dashboards", place=47),
    Page("/dashboards/{dashboard_id}", show),
    Page("/dashboards/{dashboard_id}/tiles/{at}", show_tile),
    Page("/dashboards/{dashboard_id}/values", show_values),
    Data("/dashboards/{dashboard_id}/definition", read_definition),
)
