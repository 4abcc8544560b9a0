"""Serve ``/v1/webhooks``: the endpoints to which a project's alerts are delivered."""

from __future__ import annotations

import secrets
from typing import Annotated, Final

import msgspec
from pydantic import ConfigDict, Field

from producers.control.kinds.webhook import Webhook, new_signing_secret
from producers.control.own_endpoints import own_endpoints
from producers.control.resolver import Resolver
from producers.control.webhook_guard import check_webhook_url
from producers.errors import WebhookAddressError
from producers.notifications.registry import EVENT_TYPES, EventTypes
from query_api.body import Body
from query_api.context import AppContext
from query_api.errors import BadRequestError
from query_api.openapi.v1_examples import (
    WEBHOOK_CREATED_EXAMPLE,
    WEBHOOK_EXAMPLE,
    WEBHOOK_REQUEST_EXAMPLE,
)
from query_api.times import iso
from query_api.v1.crud import Create, Resource
from tracemill.clock import now_us

EventName = Annotated[str, Field(max_length=100)]


class WebhookBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [WEBHOOK_REQUEST_EXAMPLE]}
    )

    url: str = Field(min_length=1, max_length=2000, examples=["https://example.com/hooks"])
    events: list[EventName] = Field(
        min_length=1,
        max_length=20,
        json_schema_extra={"items": {"type": "string", "enum": list(EVENT_TYPES)}},
    )


class WebhookOut(msgspec.Struct, kw_only=True):
    id: str
    url: str
    events: list[str]
    disabled: bool
    created_at: str


class WebhookCreated(WebhookOut, kw_only=True):
    secret: str
    """Key of the signatures of Standard Webhooks; only this response contains it."""


def _create(context: AppContext) -> Create[WebhookBody, Webhook]:
    resolver = Resolver()
    own = own_endpoints(context.settings.webhooks_forbidden_ports)

    async def create(project_id: str, body: WebhookBody) -> Webhook:
        _require_known(body.events, context.event_types)
        try:
            allow_private = context.settings.webhooks_allow_private
            await check_webhook_url(body.url, resolver, allow_private=allow_private, own=own)
        except WebhookAddressError as error:
            raise BadRequestError(f"url: {error}", field="url") from error
        return Webhook(
            id=f"wh_{secrets.token_hex(12)}",
            project_id=project_id,
            url=body.url,
            events=tuple(dict.fromkeys(body.events)),
            secret=new_signing_secret(),
            created_us=now_us(),
        )

    return create


def _require_known(events: list[str], event_types: EventTypes) -> None:
    """Refuse a subscription to an event that is not registered."""
    for index, event in enumerate(events):
        if event not in event_types:
            raise BadRequestError(
                f"events.{index}: unknown event {event!r}; allowed: {', '.join(event_types)}",
                field=f"events.{index}",
                allowed=tuple(event_types),
            )


def _shown(webhook: Webhook) -> WebhookOut:
    return WebhookOut(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        disabled=webhook.disabled,
        created_at=iso(webhook.created_us),
    )


def _created(webhook: Webhook) -> WebhookCreated:
    return WebhookCreated(**msgspec.structs.asdict(_shown(webhook)), secret=webhook.secret)


RESOURCE: Final = Resource(
    record=Webhook,
    path="/v1/webhooks",
    body=WebhookBody,
    create=_create,
    shown=_shown,
    shown_type=WebhookOut,
    example=WEBHOOK_EXAMPLE,
    created=_created,
    created_type=WebhookCreated,
    created_example=WEBHOOK_CREATED_EXAMPLE,
    about_create="Deliveries follow Standard Webhooks, with the headers `webhook-id`,"
    " `webhook-timestamp` and `webhook-signature`. An event is delivered at least once; repeated"
    " deliveries have the same `webhook-id`.",
    about_created="The new webhook, with its secret.",
)
