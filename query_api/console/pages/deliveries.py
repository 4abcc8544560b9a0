"""List what was delivered to channels and webhooks, and repeat a delivery."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from producers.control.kinds.channel import Channel
from producers.control.kinds.webhook import Webhook
from query_api.console.optional import optional
from query_api.console.page import Action, Page, View
from query_api.console.record_lists import following_of, parameters_of
from query_api.console.responses import see_other
from query_api.errors import BadRequestError
from query_api.v1.deliveries import (
    DeliveryParameters,
    read_deliveries,
    read_delivery,
    repeat_delivery,
)

ROWS: Final = 50
STATUSES: Final = ("pending", "delivered", "exhausted", "dropped", "failed")
ID_CHARS_MAX: Final = 512
FILTERS: Final = ("status", "webhook_id", "channel_id", "alert_id")


async def show_list(view: View) -> Response:
    """Show a page of deliveries, newest first; the query string can select some."""
    filters = {name: view.parameter(name) for name in FILTERS}
    given = {name: each or None for name, each in filters.items()}
    parameters = parameters_of(view, DeliveryParameters, limit=ROWS, **given)
    rows, meta = await read_deliveries(view.context, view.project_id, parameters)
    return view.render(
        "deliveries.html",
        rows=[optional(each) for each in rows],
        names=_names(view),
        filters=filters,
        statuses=STATUSES,
        following=following_of(meta, **filters),
        is_first=not view.parameter("cursor"),
    )


async def show_one(view: View) -> Response:
    """Show a delivery with its attempts."""
    delivery = await read_delivery(view.context, view.project_id, _id(view))
    return view.render(
        "delivery.html",
        delivery=optional(delivery),
        names=_names(view),
        path=view.path("deliveries", delivery.id),
        was_requested=bool(view.parameter("requested")),
    )


async def redeliver(view: View) -> Response:
    """Deliver an alert again."""
    delivery_id = _id(view)
    await repeat_delivery(view.context, view.project_id, delivery_id)
    return see_other(f"{view.path('deliveries', delivery_id)}?requested=1")


def _names(view: View) -> dict[str, str]:
    """Return the names of the receivers that exist, by id."""
    records, project_id = view.context.control.view, view.project_id
    channels = records.in_project(Channel, project_id)
    webhooks = records.in_project(Webhook, project_id)
    names = {each.id: each.name for each in channels.values()}
    return names | {each.id: each.description or each.url for each in webhooks.values()}


def _id(view: View) -> str:
    found: str = view.request.path_params["delivery_id"]
    if len(found) > ID_CHARS_MAX:
        message = f"delivery_id: must have at most {ID_CHARS_MAX} characters"
        raise BadRequestError(message, field="delivery_id")
    return found


REGISTERED = (
    Page("/deliveries", show_list, title="Deliveries", group="alerting", place=50),
    Page("/deliveries/{delivery_id:path}", show_one),
    Action("/deliveries/{delivery_id:path}/redeliver", redeliver),
)
