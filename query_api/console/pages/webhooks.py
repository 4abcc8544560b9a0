"""List webhooks, create and change them, replace their secrets, and repeat deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from producers.control.kinds.webhook import Webhook
from query_api.console.edit_forms import save, status_of_refusal, with_version
from query_api.console.form_bodies import Faults, body_of, checked, faults_of, of_fields
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.pages.channels import EVENTS
from query_api.console.record_lists import record_page
from query_api.console.responses import see_other
from query_api.console.time_ranges import PRESETS
from query_api.errors import BadRequestError, ConflictError, QueryApiError
from query_api.times import SECOND_US
from query_api.v1.deliveries import DeliveryParameters, read_deliveries
from query_api.v1.delivery_requests import request_test
from query_api.v1.records import find, records_of
from query_api.v1.webhooks import (
    RESOURCE,
    Redelivery,
    SecretRotation,
    WebhookBody,
    WebhookChange,
    redeliver_since,
    rotate_webhook,
    shown_webhook,
)
from tracemill.clock import now_us

ROWS: Final = 100
DELIVERIES: Final = 10
FIELDS: Final = ("url", "events", "description")
SINCE: Final = ("1h", "6h", "24h", "7d")
OVERLAPS_S: Final = (0, 3_600, 86_400, 604_800)


async def show_list(view: View) -> Response:
    """Show a page of webhooks."""
    page = record_page(view, RESOURCE, ROWS)
    rows = [optional(shown_webhook(each)) for each in page.records]
    return view.render("webhooks.html", rows=rows, page=page)


async def show_one(view: View) -> Response:
    """Show a webhook with its last deliveries."""
    webhook = _found(view)
    parameters = DeliveryParameters(webhook_id=webhook.id, limit=DELIVERIES)
    deliveries, _ = await read_deliveries(view.context, view.project_id, parameters)
    return view.render(
        "webhook.html",
        webhook=optional(shown_webhook(webhook)),
        path=view.path("webhooks", webhook.id),
        deliveries=[optional(each) for each in deliveries],
        since=SINCE,
        overlaps_s=OVERLAPS_S,
        requested=view.parameter("requested"),
    )


async def show_new(view: View) -> Response:
    """Show the form of a new webhook."""
    return _form(view, {f"events.{each}": "on" for each in EVENTS if "budget" in each})


async def show_edit(view: View) -> Response:
    """Show the form of a webhook."""
    webhook = _found(view)
    form = {"url": webhook.url, "description": webhook.description}
    form |= {f"events.{each}": "on" for each in webhook.events}
    return _form(view, with_version(form, webhook), webhook)


async def create(view: View) -> Response:
    """Create the webhook of a form, and show its secret once."""
    author = view.session.principal.public_key
    try:
        body = body_of(WebhookBody, _values(view.form))
        made = await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        return _form(view, view.form, faults=_faults(error), status=422)
    return _secret(view, made, status=201)


async def change(view: View) -> Response:
    """Change a webhook with the values of a form."""
    webhook = _found(view)
    try:
        body = body_of(WebhookChange, _values(view.form))
        await save(view, records_of(view.context, RESOURCE).change, webhook, body)
    except BadRequestError as error:
        return _form(view, view.form, webhook, _faults(error), status=status_of_refusal(error))
    return see_other(view.path("webhooks", webhook.id))


async def switch(view: View) -> Response:
    """Enable or disable a webhook."""
    webhook, author = _found(view), view.session.principal.public_key
    body = body_of(WebhookChange, {"disabled": view.form.get("switch") == "disable"})
    await records_of(view.context, RESOURCE).change(view.project_id, webhook.id, body, author)
    return see_other(view.path("webhooks", webhook.id))


async def rotate(view: View) -> Response:
    """Replace the secret of a webhook, and show the new one once."""
    webhook = _found(view)
    overlap = view.form.get("overlap_s", "")
    if overlap not in map(str, OVERLAPS_S):
        message = f"overlap_s: must be one of {', '.join(map(str, OVERLAPS_S))}"
        raise BadRequestError(message, field="overlap_s")
    body = SecretRotation(overlap_s=int(overlap))
    return _secret(view, await rotate_webhook(view.context, view.project_id, webhook.id, body))


async def test(view: View) -> Response:
    """Send a test event."""
    webhook = _found(view)
    await request_test(view.context, webhook)
    return see_other(f"{view.path('webhooks', webhook.id)}?requested=test")


async def redeliver(view: View) -> Response:
    """Deliver all alerts of the last hours again."""
    webhook, since = _found(view), view.form.get("since", "")
    if since not in SINCE:
        raise BadRequestError(f"since: must be one of {', '.join(SINCE)}", field="since")
    since_us = now_us() - PRESETS[since] * SECOND_US
    await redeliver_since(view.context, webhook, Redelivery.model_construct(since=since_us))
    return see_other(f"{view.path('webhooks', webhook.id)}?requested=redelivery")


async def delete(view: View) -> Response:
    """Delete a webhook."""
    await records_of(view.context, RESOURCE).delete(view.project_id, _found(view).id)
    return see_other(view.path("webhooks"))


def _values(form: Mapping[str, str]) -> dict[str, Any]:
    return {
        "url": form.get("url", "").strip(),
        "events": checked(form, "events."),
        "description": form.get("description", "").strip(),
    }


def _secret(view: View, webhook: Webhook, *, status: int = 200) -> Response:
    path = view.path("webhooks", webhook.id)
    return view.render("webhook_secret.html", status=status, webhook=webhook, path=path)


def _form(
    view: View,
    form: Mapping[str, str],
    webhook: Webhook | None = None,
    faults: Faults | None = None,
    *,
    status: int = 200,
) -> Response:
    return view.render(
        "webhook_form.html",
        status=status,
        webhook=webhook,
        values=form,
        faults=faults or {},
        events=EVENTS,
    )


def _found(view: View) -> Webhook:
    return find(view.context, Webhook, view.project_id, view.request.path_params["webhook_id"])


def _faults(error: QueryApiError) -> Faults:
    return of_fields(faults_of(error), FIELDS)


REGISTERED = (
    Page("/webhooks", show_list),
    Page("/webhooks/new", show_new, scope="write"),
    Page("/webhooks/{webhook_id}", show_one),
    Page("/webhooks/{webhook_id}/edit", show_edit, scope="write"),
    Action("/webhooks/new", create),
    Action("/webhooks/{webhook_id}/edit", change),
    Action("/webhooks/{webhook_id}/switch", switch),
    Action("/webhooks/{webhook_id}/rotate", rotate),
    Action("/webhooks/{webhook_id}/test", test),
    Action("/webhooks/{webhook_id}/redeliver", redeliver),
    Action("/webhooks/{webhook_id}/delete", delete),
)
