"""List routes, which select the alerts that channels receive, and create and change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from producers.control.kinds.channel import Channel
from producers.control.kinds.route import Route
from query_api.console import channel_forms
from query_api.console.edit_forms import save, status_of_refusal, with_version
from query_api.console.form_bodies import Faults, body_of, faults_of, of_fields
from query_api.console.page import Action, Page, View
from query_api.console.pages.channels import EVENTS
from query_api.console.record_lists import record_page
from query_api.console.responses import see_other
from query_api.errors import BadRequestError, ConflictError, QueryApiError
from query_api.v1.records import find, records_of
from query_api.v1.routes import RESOURCE, RouteChange, pause_warnings

ROWS: Final = 100


async def show_list(view: View) -> Response:
    """Show a page of routes."""
    page = record_page(view, RESOURCE, ROWS)
    channels = _channels(view)
    return view.render("alert_routes.html", page=page, channels=channels, warnings=pause_warnings)


async def show_new(view: View) -> Response:
    """Show the form of a new route."""
    form = {
        "group_by": "rule_id",
        "group_wait_s": "10s",
        "group_interval_s": "5m",
        "repeat_interval_s": "4h",
    }
    return _form(view, form)


async def show_edit(view: View) -> Response:
    """Show the form of a route."""
    route = _found(view)
    return _form(view, with_version(channel_forms.form_of_route(route), route), route)


async def create(view: View) -> Response:
    """Create the route of a form."""
    author = view.session.principal.public_key
    try:
        body = channel_forms.route_body(view.form)
        await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        return _form(view, view.form, faults=_faults(error), status=422)
    return see_other(view.path("routes"))


async def change(view: View) -> Response:
    """Change a route with the values of a form."""
    route = _found(view)
    try:
        body = channel_forms.route_change(view.form)
        await save(view, records_of(view.context, RESOURCE).change, route, body)
    except BadRequestError as error:
        return _form(view, view.form, route, _faults(error), status=status_of_refusal(error))
    return see_other(view.path("routes"))


async def switch(view: View) -> Response:
    """Enable or disable a route."""
    route, author = _found(view), view.session.principal.public_key
    body = body_of(RouteChange, {"disabled": view.form.get("switch") == "disable"})
    await records_of(view.context, RESOURCE).change(view.project_id, route.id, body, author)
    return see_other(view.path("routes"))


async def delete(view: View) -> Response:
    """Delete a route."""
    await records_of(view.context, RESOURCE).delete(view.project_id, _found(view).id)
    return see_other(view.path("routes"))


def _form(
    view: View,
    form: Mapping[str, str],
    route: Route | None = None,
    faults: Faults | None = None,
    *,
    status: int = 200,
) -> Response:
    return view.render(
        "alert_route_form.html",
        status=status,
        route=route,
        values=form,
        faults=faults or {},
        events=EVENTS,
        severities=channel_forms.SEVERITIES,
        channels=_channels(view),
    )


def _channels(view: View) -> Mapping[str, Channel]:
    return view.context.control.view.in_project(Channel, view.project_id)


def _found(view: View) -> Route:
    return find(view.context, Route, view.project_id, view.request.path_params["route_id"])


def _faults(error: QueryApiError) -> Faults:
    faults = faults_of(error)
    named = {
        f"{name}_s" if f"{name}_s" in channel_forms.ROUTE_FIELDS else name: message
        for name, message in faults.items()
    }
    return of_fields(named, channel_forms.ROUTE_FIELDS)


REGISTERED = (
    Page("/routes", show_list),
    Page("/routes/new", show_new, scope="write"),
    Page("/routes/{route_id}/edit", show_edit, scope="write"),
    Action("/routes/new", create),
    Action("/routes/{route_id}/edit", change),
    Action("/routes/{route_id}/switch", switch),
    Action("/routes/{route_id}/delete", delete),
)
