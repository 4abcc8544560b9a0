"""List silences, create them, and end them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.silence import WEEKDAYS
from query_api.alerting.silence_warnings import known_labels, warnings_about
from query_api.console import silence_forms
from query_api.console.form_bodies import Faults, faults_of, of_fields
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.record_lists import record_page
from query_api.console.responses import see_other
from query_api.errors import BadRequestError, ConflictError
from query_api.v1.records import records_of
from query_api.v1.silences import RESOURCE, expire_silence, shown_silence

ROWS: Final = 100


async def show_list(view: View) -> Response:
    """Show a page of silences."""
    page = record_page(view, RESOURCE, ROWS)
    rows = [optional(shown_silence(each)) for each in page.records]
    known = await known_labels(view.context, view.project_id)
    warnings = {
        each.id: warnings_about(each, known)
        for each in page.records
        if shown_silence(each).state != "expired"
    }
    rules = view.context.control.view.in_project(AlertRule, view.project_id)
    names = {each.id: each.name for each in rules.values()}
    order = ("active", "pending", "expired")
    rows.sort(key=lambda each: order.index(each["state"]))
    return view.render("silences.html", rows=rows, page=page, warnings=warnings, names=names)


async def show_new(view: View) -> Response:
    """Show the form of a new silence; the query string can fill in its fields."""
    author = view.session.principal.public_key
    parameters = view.request.query_params
    return _form(view, silence_forms.new_form(parameters, view.preferences.zone_name, author))


async def create(view: View) -> Response:
    """Create the silence of a form."""
    author = view.session.principal.public_key
    try:
        body = silence_forms.silence_body(view.form)
        await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        faults = faults_of(error)
        faults = {"duration" if name == "ends_at" else name: each for name, each in faults.items()}
        return _form(view, view.form, of_fields(faults, silence_forms.FIELDS), status=422)
    return see_other(view.path("silences"))


async def expire(view: View) -> Response:
    """End a silence now."""
    await expire_silence(view.context, view.project_id, view.request.path_params["silence_id"])
    return see_other(view.path("silences"))


def _form(
    view: View, form: Mapping[str, str], faults: Faults | None = None, *, status: int = 200
) -> Response:
    return view.render(
        "silence_form.html",
        status=status,
        values=form,
        faults=faults or {},
        weekdays=WEEKDAYS,
        durations=silence_forms.DURATIONS,
        until_expired=silence_forms.UNTIL_EXPIRED,
    )


REGISTERED = (
    Page("/silences", show_list),
    Page("/silences/new", show_new, scope="write"),
    Action("/silences/new", create),
    Action("/silences/{silence_id}/expire", expire),
)
