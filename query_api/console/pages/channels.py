"""List channels, create and change them, and preview and test their messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from producers.control.kinds.channel import Channel
from producers.notifications.channel_registry import CHANNEL_TYPES
from producers.notifications.channel_type import ChannelType
from producers.notifications.registry import EVENT_TYPES
from query_api.console import channel_forms
from query_api.console.edit_forms import save, status_of_refusal, with_version
from query_api.console.form_bodies import Faults, body_of, faults_of, of_fields
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.record_lists import record_page
from query_api.console.responses import see_other
from query_api.errors import BadRequestError, ConflictError, QueryApiError
from query_api.v1.channels import (
    RESOURCE,
    ChannelChange,
    PreviewBody,
    preview_message,
    shown_channel,
    type_of,
)
from query_api.v1.deliveries import DeliveryParameters, read_deliveries
from query_api.v1.delivery_requests import request_test
from query_api.v1.records import find, records_of

ROWS: Final = 100
DELIVERIES: Final = 10
EVENTS: Final = tuple(each for each in EVENT_TYPES if each != "webhook.test")


async def show_list(view: View) -> Response:
    """Show a page of channels."""
    page = record_page(view, RESOURCE, ROWS)
    rows = [optional(shown_channel(each)) for each in page.records]
    return view.render("channels.html", rows=rows, page=page, types=tuple(sorted(CHANNEL_TYPES)))


async def show_one(view: View) -> Response:
    """Show a channel with a sample of its messages, and its last deliveries."""
    channel = _found(view)
    state = "resolved" if view.parameter("state") == "resolved" else "firing"
    fault, message = "", None
    try:
        message = preview_message(view.context, channel, PreviewBody(state=state))
    except BadRequestError as error:
        fault = error.message
    parameters = DeliveryParameters(channel_id=channel.id, limit=DELIVERIES)
    deliveries, _ = await read_deliveries(view.context, view.project_id, parameters)
    return view.render(
        "channel.html",
        channel=optional(shown_channel(channel)),
        path=view.path("channels", channel.id),
        message=message,
        fault=fault,
        state=state,
        deliveries=[optional(each) for each in deliveries],
        was_tested=bool(view.parameter("tested")),
    )


async def show_new(view: View) -> Response:
    """Show the types of channels, or the form of the chosen type."""
    name = view.parameter("type")
    if not name:
        return view.render("channel_types.html", types=tuple(sorted(CHANNEL_TYPES)))
    kind = type_of(name)
    form = {each.name: each.default for each in channel_forms.settings_of(kind)}
    form |= {"send_resolved": "on", "rate_per_minute": "60"}
    return _form(view, kind, form)


async def show_edit(view: View) -> Response:
    """Show the form of a channel."""
    channel = _found(view)
    kind = type_of(channel.type)
    form = with_version(channel_forms.form_of_channel(channel, kind), channel)
    return _form(view, kind, form, channel)


async def create(view: View) -> Response:
    """Create the channel of a form."""
    kind = type_of(view.form.get("type", ""))
    author = view.session.principal.public_key
    try:
        body = channel_forms.channel_body(view.form, kind)
        made = await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        return _form(view, kind, view.form, faults=_faults(error, kind), status=422)
    return see_other(view.path("channels", made.id))


async def change(view: View) -> Response:
    """Change a channel with the values of a form."""
    channel = _found(view)
    kind = type_of(channel.type)
    try:
        body = channel_forms.channel_change(view.form, kind)
        await save(view, records_of(view.context, RESOURCE).change, channel, body)
    except BadRequestError as error:
        status = status_of_refusal(error)
        return _form(view, kind, view.form, channel, _faults(error, kind), status=status)
    return see_other(view.path("channels", channel.id))


async def switch(view: View) -> Response:
    """Enable or disable a channel."""
    channel = _found(view)
    body = body_of(ChannelChange, {"disabled": view.form.get("switch") == "disable"})
    author = view.session.principal.public_key
    await records_of(view.context, RESOURCE).change(view.project_id, channel.id, body, author)
    return see_other(view.path("channels", channel.id))


async def test(view: View) -> Response:
    """Send a test message."""
    channel = _found(view)
    await request_test(view.context, channel)
    return see_other(f"{view.path('channels', channel.id)}?tested=1")


async def delete(view: View) -> Response:
    """Delete a channel."""
    await records_of(view.context, RESOURCE).delete(view.project_id, _found(view).id)
    return see_other(view.path("channels"))


def _form(
    view: View,
    kind: ChannelType[Any],
    form: Mapping[str, str],
    channel: Channel | None = None,
    faults: Faults | None = None,
    *,
    status: int = 200,
) -> Response:
    return view.render(
        "channel_form.html",
        status=status,
        kind=kind.name,
        settings=channel_forms.settings_of(kind),
        channel=channel,
        values=form,
        faults=faults or {},
        events=EVENTS,
    )


def _found(view: View) -> Channel:
    return find(view.context, Channel, view.project_id, view.request.path_params["channel_id"])


def _faults(error: QueryApiError, kind: ChannelType[Any]) -> Faults:
    faults = faults_of(error)
    named = channel_forms.named_as_in_form(faults, kind)
    settings = [each.name for each in channel_forms.settings_of(kind)]
    return of_fields(named, (*channel_forms.CHANNEL_FIELDS, *settings))


REGISTERED = (
    Page("/channels", show_list, title="Channels", group="alerting", place=40),
    Page("/channels/new", show_new, scope="write"),
    Page("/channels/{channel_id}", show_one),
    Page("/channels/{channel_id}/edit", show_edit, scope="write"),
    Action("/channels/new", create),
    Action("/channels/{channel_id}/edit", change),
    Action("/channels/{channel_id}/switch", switch),
    Action("/channels/{channel_id}/test", test),
    Action("/channels/{channel_id}/delete", delete),
)
