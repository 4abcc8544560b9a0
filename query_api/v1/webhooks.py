"""``/v1/webhooks``: where a project's alerts are delivered."""

from __future__ import annotations

import secrets
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.webhook import Webhook, new_signing_secret
from producers.control.own_endpoints import own_endpoints
from producers.control.resolver import Resolver
from producers.control.webhook_guard import check_webhook_url
from producers.errors import WebhookAddressError
from producers.notifications.registry import EVENT_TYPES, EventTypes
from query_api.answers import answer
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.v1_examples import (
    WEBHOOK_CREATED_EXAMPLE,
    WEBHOOK_EXAMPLE,
    WEBHOOK_LIST_EXAMPLE,
    WEBHOOK_REQUEST_EXAMPLE,
)
from query_api.quota import Quota
from query_api.times import iso, now_us
from query_api.v1.parameters import native_router

EventName = Annotated[str, Field(max_length=100)]


class WebhookBody(BaseModel):
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
    """Signs every delivery as Standard Webhooks says; shown this once."""


class WebhookList(msgspec.Struct):
    data: list[WebhookOut]


WebhookId = Annotated[str, Path(max_length=128, examples=[WEBHOOK_EXAMPLE["id"]])]


def webhooks_router(context: AppContext) -> APIRouter:
    router = native_router("webhooks")
    quota = Quota("webhooks", "webhooks_per_project_max", context.settings.webhooks_per_project_max)
    control, documented = context.control, context.documented
    resolver = Resolver()
    own = own_endpoints(context.settings.webhooks_forbidden_ports)

    def webhook_of(project_id: str, webhook_id: str) -> Webhook:
        webhook = control.view.in_project(Webhook, project_id).get(webhook_id)
        if webhook is None:
            raise NotFoundError(f"no webhook {webhook_id!r}")
        return webhook

    @router.post(
        "/v1/webhooks",
        status_code=201,
        summary="Create a webhook",
        responses={
            201: documented.as_answer(WebhookCreated, "It will be called.", WEBHOOK_CREATED_EXAMPLE)
        },
    )
    async def create_webhook(project_id: ProjectId, body: WebhookBody) -> Response:
        """Deliveries follow Standard Webhooks: headers `webhook-id`, `webhook-timestamp`, `webhook-signature`. They come at least once; `webhook-id` stays the same when one is repeated."""
        _require_known(body.events, context.event_types)
        try:
            allow_private = context.settings.webhooks_allow_private
            await check_webhook_url(body.url, resolver, allow_private=allow_private, own=own)
        except WebhookAddressError as error:
            raise BadRequestError(f"url: {error}", field="url") from error
        webhook = Webhook(
            id=f"wh_{secrets.token_hex(12)}",
            project_id=project_id,
            url=body.url,
            events=tuple(dict.fromkeys(body.events)),
            secret=new_signing_secret(),
            created_us=now_us(),
        )
        with quota.taken_by(webhook, control.view.in_project(Webhook, project_id)):
            await control.put(webhook)
        shown = msgspec.structs.asdict(_shown(webhook))
        return answer(WebhookCreated(**shown, secret=webhook.secret), status=201)

    @router.get(
        "/v1/webhooks",
        summary="List webhooks",
        responses={200: documented.as_answer(WebhookList, "All of them.", WEBHOOK_LIST_EXAMPLE)},
    )
    async def list_webhooks(project_id: ProjectId) -> Response:
        webhooks = list(control.view.in_project(Webhook, project_id).values())
        webhooks.sort(key=lambda webhook: webhook.position)
        return answer(WebhookList([_shown(webhook) for webhook in webhooks]))

    @router.get(
        "/v1/webhooks/{webhook_id}",
        summary="Get a webhook",
        responses={200: documented.as_answer(WebhookOut, "The webhook.", WEBHOOK_EXAMPLE)},
    )
    async def get_webhook(project_id: ProjectId, webhook_id: WebhookId) -> Response:
        return answer(_shown(webhook_of(project_id, webhook_id)))

    @router.delete("/v1/webhooks/{webhook_id}", status_code=204, summary="Delete a webhook")
    async def delete_webhook(project_id: ProjectId, webhook_id: WebhookId) -> Response:
        webhook = webhook_of(project_id, webhook_id)
        await control.delete("webhook", webhook.id)
        return Response(status_code=204)

    return router


def _require_known(events: list[str], event_types: EventTypes) -> None:
    """Refuse a subscription to an event that is not registered."""
    for index, event in enumerate(events):
        if event not in event_types:
            raise BadRequestError(
                f"events.{index}: no event {event!r}; allowed: {', '.join(event_types)}",
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
