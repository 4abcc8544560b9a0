"""Create, change, copy and delete dashboards, and save views of Explore as their tiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams
from starlette.responses import Response

from producers.documents.kinds.dashboard import Dashboard
from query_api.console.dashboard_forms import (
    FIELDS,
    VARIABLES,
    compacted,
    form_of_dashboard,
    settings_of,
)
from query_api.console.dashboard_layout import DIRECTIONS, moved
from query_api.console.dashboard_state import state_of
from query_api.console.dashboard_tiles import tile_of_explore
from query_api.console.edit_forms import StaleFormError
from query_api.console.explore_query import asked_of, form_faults, query_of
from query_api.console.first_dashboard import cost_and_latency
from query_api.console.form_bodies import VERSION, Faults, FormError, body_of, of_fields
from query_api.console.form_faults import REFUSALS, faults_of, json_field, status_of
from query_api.console.page import Action, Page, View
from query_api.console.pages.dashboards import (
    body_of_dashboard,
    dashboard_of,
    dashboard_path,
    show_dashboard,
    tile_number,
)
from query_api.console.responses import see_other
from query_api.console.time_ranges import PRESETS
from query_api.dashboards.bodies import COLUMNS, ROWS_MAX, VARIABLES_MAX, DashboardBody
from query_api.documents.document import Document, DocumentVersionError, version_of
from query_api.errors import BadRequestError
from query_api.v1.dashboards import create_dashboard, replace_dashboard
from query_api.v1.document_crud import delete_document, found_document
from query_api.v1.etags import Precondition
from tracemill.clock import now_us

OFFERED: Final = 200
"""Newest dashboards to which a tile can be saved."""
SAVE_ATTEMPTS: Final = 3
NAME_CHARS_MAX: Final = 255
SIZES: Final[Mapping[str, tuple[str, int, int]]] = {
    "wider": ("width", 1, COLUMNS),
    "narrower": ("width", -1, COLUMNS),
    "taller": ("height", 1, ROWS_MAX),
    "shorter": ("height", -1, ROWS_MAX),
}
"""Member that a button changes, by how much, and its maximum."""


async def show_new(view: View) -> Response:
    """Show the form of a new dashboard."""
    return _form(view, {})


async def show_edit(view: View) -> Response:
    """Show the form of a dashboard."""
    dashboard = await dashboard_of(view)
    version = {VERSION: version_of(dashboard.body)}
    return _form(view, {**form_of_dashboard(dashboard.body), **version}, dashboard)


async def create(view: View) -> Response:
    """Create an empty dashboard, or the one of a definition in JSON."""
    form = compacted(view.form)
    has_definition = bool(form.get("definition", "").strip())
    try:
        given = json_field(view.form, "definition") if has_definition else settings_of(form)
        if not isinstance(given, dict):
            raise FormError({"definition": "must be a JSON object"})
        made = await _create(view, given)
    except REFUSALS as error:
        faults = of_fields(_faults(error), FIELDS)
        if has_definition:
            faults = {"definition": _text_of(_faults(error))}
        return _form(view, form, faults=faults, status=status_of(error))
    return see_other(dashboard_path(view, made.id))


async def create_first(view: View) -> Response:
    """Create the dashboard with cost and latency by model."""
    texts = view.form
    made = await _create(view, cost_and_latency(lambda text: texts.get(f"text.{text}") or text))
    return see_other(dashboard_path(view, made.id))


async def change(view: View) -> Response:
    """Change the name, the range and the variables of a dashboard."""
    dashboard, form = await dashboard_of(view), compacted(view.form)
    try:
        await _save(view, dashboard, settings_of(form))
    except REFUSALS as error:
        faults = of_fields(_faults(error), FIELDS)
        return _form(view, form, dashboard, faults, status_of(error))
    return see_other(dashboard_path(view, dashboard.id))


async def change_tile(view: View) -> Response:
    """Move a tile, change its size or title, or remove it."""
    dashboard = await dashboard_of(view)
    do, at = view.form.get("do", ""), tile_number(dashboard, view.form.get("at", ""))
    state = state_of(dashboard.body, view.request.query_params, now_us()).edited(True)
    try:
        tiles = list(body_of_dashboard(dashboard)["tiles"])
        if at is None:  # somebody has removed it
            raise StaleFormError
        tiles, number = _changed(tiles, at, do, view.form.get("title", ""))
        await _save(view, dashboard, {"tiles": tiles})
    except REFUSALS as error:
        return show_dashboard(view, dashboard, _faults(error), status_of(error))
    # Without a fragment, because browsers then ignore where the focus should be.
    more = urlencode({"at": number, "do": do})
    return see_other(f"{dashboard_path(view, dashboard.id)}?{state.query}&{more}")


async def copy(view: View) -> Response:
    """Create a dashboard that is the same as another."""
    dashboard = await dashboard_of(view)
    name = view.form.get("name", "").strip() or dashboard.body.name
    made = await _create(view, body_of_dashboard(dashboard, name=name[:NAME_CHARS_MAX]))
    return see_other(dashboard_path(view, made.id))


async def delete(view: View) -> Response:
    """Delete a dashboard."""
    id_ = view.request.path_params["dashboard_id"]
    await delete_document(view.context, Dashboard, view.project_id, id_, None)
    return see_other(view.path("dashboards"))


async def show_save(view: View) -> Response:
    """Show the form that saves a view of Explore as a tile."""
    return await _save_form(view, view.parameter("query"), {})


async def save_tile(view: View) -> Response:
    """Add a view of Explore to a dashboard, or to a new one."""
    form, query = view.form, view.form.get("query", "")
    try:
        at_us = now_us()
        asked = asked_of(query_of(_parsed(query), at_us), "UTC", at_us)
        tile = tile_of_explore(asked, form.get("title", ""))
        if form.get("dashboard"):
            saved = await _added(view, form["dashboard"], tile)
        else:
            saved = await _create(view, {"name": form.get("name", ""), "tiles": [tile]})
    except REFUSALS as error:
        faults = of_fields(_faults(error), ("name", "title", "dashboard"))
        return await _save_form(view, query, form, faults, status_of(error))
    last = len(saved.body.tiles) - 1
    return see_other(f"{dashboard_path(view, saved.id)}#tile-{last}")


async def _create(view: View, given: Mapping[str, Any]) -> Document[Dashboard]:
    body = body_of(DashboardBody, given)
    author = view.session.principal.public_key
    return await create_dashboard(view.context, view.project_id, body, author)


async def _save(view: View, dashboard: Document[Dashboard], changed: Mapping[str, Any]) -> None:
    """Change a part of a dashboard whose version is that of the form."""
    body = body_of(DashboardBody, body_of_dashboard(dashboard, **changed))
    opened = Precondition(frozenset({view.form.get(VERSION, "")}))
    try:
        opened.require(dashboard.body)
        await replace_dashboard(view.context, view.project_id, dashboard.id, body, opened)
    except DocumentVersionError as error:
        raise StaleFormError from error


async def _added(view: View, id_: str, tile: Mapping[str, Any]) -> Document[Dashboard]:
    """Add a tile, to what somebody else may have changed in the meantime."""
    for _ in range(SAVE_ATTEMPTS):
        held = await found_document(view.context, Dashboard, view.project_id, id_)
        tiles = [*body_of_dashboard(held)["tiles"], tile]
        body = body_of(DashboardBody, body_of_dashboard(held, tiles=tiles))
        version = Precondition(frozenset({version_of(held.body)}))
        try:
            return await replace_dashboard(view.context, view.project_id, id_, body, version)
        except DocumentVersionError:
            continue
    raise StaleFormError


def _changed(
    tiles: list[dict[str, Any]], at: int, do: str, title: str
) -> tuple[list[dict[str, Any]], int]:
    """Return the tiles after a change of one, and the number of that tile."""
    if do in DIRECTIONS:
        order = moved([each["width"] for each in tiles], at, do)
        return [tiles[each] for each in order], order.index(at)
    if do in SIZES:
        name, change, most = SIZES[do]
        size = min(most, max(1, tiles[at][name] + change))
        return [*tiles[:at], {**tiles[at], name: size}, *tiles[at + 1 :]], at
    if do == "remove":
        return [*tiles[:at], *tiles[at + 1 :]], max(0, at - 1)
    if do == "title":
        return [*tiles[:at], {**tiles[at], "title": title}, *tiles[at + 1 :]], at
    allowed = ", ".join((*DIRECTIONS, *SIZES, "title", "remove"))
    raise BadRequestError(f"do: must be one of {allowed}", field="do")


def _parsed(query: str) -> QueryParams:
    """Return the parameters of a view of Explore, in which an empty dimension means none."""
    return QueryParams(parse_qsl(query, keep_blank_values=True))


def _faults(error: Exception) -> Faults:
    return error.faults if isinstance(error, FormError) else faults_of(error)


def _text_of(faults: Faults) -> str:
    """Return messages with the paths that they are about, except that of the whole field."""
    texts = (f"{name}: {text}" if name not in {"", "definition"} else text
             for name, text in faults.items())  # fmt: skip
    return "; ".join(texts)


def _form(
    view: View,
    form: Mapping[str, str],
    dashboard: Document[Dashboard] | None = None,
    faults: Faults | None = None,
    status: int = 200,
) -> Response:
    used = sum(bool(form.get(f"variables.{at}.dimension")) for at in range(VARIABLES_MAX))
    return view.render(
        "dashboard_form.html",
        status=status,
        dashboard=dashboard,
        values=form,
        faults=faults or {},
        presets=tuple(PRESETS),
        dimensions=VARIABLES,
        rows=min(VARIABLES_MAX, used + 2),
    )


async def _save_form(
    view: View,
    query: str,
    form: Mapping[str, str],
    faults: Faults | None = None,
    status: int = 200,
) -> Response:
    at_us = now_us()
    explored = query_of(_parsed(query), at_us)
    try:
        asked_of(explored, "UTC", at_us)
    except FormError as error:
        faults = faults or {"": "; ".join(form_faults(error.faults).values())}
        status = 422
    offered, _ = await view.context.documents.page(
        Dashboard, view.project_id, offset=0, limit=OFFERED
    )
    return view.render(
        "dashboard_save.html",
        status=status,
        explored=explored,
        query=urlencode(explored.parameters),
        back=explored.address(view.path()),
        values=form,
        faults=faults or {},
        offered=offered,
    )


REGISTERED = (
    Page("/dashboards/new", show_new, scope="write"),
    Page("/dashboards/save", show_save, scope="write"),
    Page("/dashboards/{dashboard_id}/edit", show_edit, scope="write"),
    Action("/dashboards/new", create),
    Action("/dashboards/first", create_first),
    Action("/dashboards/tiles", save_tile),
    Action("/dashboards/{dashboard_id}/edit", change),
    Action("/dashboards/{dashboard_id}/tiles", change_tile),
    Action("/dashboards/{dashboard_id}/copies", copy),
    Action("/dashboards/{dashboard_id}/delete", delete),
)
