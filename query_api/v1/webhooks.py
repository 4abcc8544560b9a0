"""Serve ``/v1/webhooks``: the endpoints to which a project's alerts are delivered."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.webhook import Webhook, new_signing_secret
from producers.control.own_endpoints import own_endpoints
from producers.control.resolver import Resolver
from producers.control.webhook_guard import check_webhook_url
from producers.errors import WebhookAddressError
from producers.notifications.registry import EVENT_TYPES, EventTypes
from query_api.body import Body
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.delivery_examples import REPETITION_EXAMPLE, REQUESTED_EXAMPLE
from query_api.openapi.v1_examples import (
    WEBHOOK_CREATED_EXAMPLE,
    WEBHOOK_EXAMPLE,
    WEBHOOK_REQUEST_EXAMPLE,
)
from query_api.responses import json_response
from query_api.texts import Lines
from query_api.times import RangeInstant, iso
from query_api.v1.control_requests import IdempotencyKey
from query_api.v1.crud import Change, Create, Resource
from query_api.v1.delivery_requests import (
    DeliveryRequested,
    request_delivery,
    request_test,
)
from query_api.v1.etags import with_etag
from query_api.v1.records import find
from tracemill.clock import now_us

EventName = Annotated[str, Field(max_length=100)]
Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://example.com/hooks"])]
Events = Annotated[
    list[EventName],
    Field(
        min_length=1,
        max_length=20,
        json_schema_extra={"items": {"type": "string", "enum": list(EVENT_TYPES)}},
    ),
]
Description = Annotated[Lines, Field(max_length=500)]
WebhookId = Annotated[str, Path(max_length=128, examples=[WEBHOOK_EXAMPLE["id"]])]

OVERLAP_S: Final = 86_400
OVERLAP_MAX_S: Final = 7 * 86_400
_SECOND_US: Final = 1_000_000
_HOUR_US: Final = 3_600_000_000


class WebhookBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [WEBHOOK_REQUEST_EXAMPLE]}
    )

    url: Url
    events: Events
    description: Description = ""


class WebhookChange(Body):
    """The fields of a webhook that change; the others remain."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"disabled": False}]})

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    disabled: bool | None = None


class SecretRotation(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: int = Field(
        OVERLAP_S,
        ge=0,
        le=OVERLAP_MAX_S,
        description="Seconds for which deliveries have a signature with the old secret too.",
    )


_ROTATION_BY_DEFAULT: Final = SecretRotation()


class WebhookOut(msgspec.Struct, kw_only=True):
    id: str
    url: str
    events: list[str]
    description: str
    disabled: bool
    created_at: str
    previous_secret_valid_until: str | None
    """Null: no secret was replaced."""


class WebhookCreated(WebhookOut, kw_only=True):
    secret: str
    """Key of the signatures of Standard Webhooks; only this response contains it."""


UrlCheck = Callable[[str], Awaitable[None]]


def url_check(context: AppContext) -> UrlCheck:
    """Return the function that refuses a URL to which deliveries are not allowed."""
    resolver = Resolver()
    own = own_endpoints(context.settings.webhooks_forbidden_ports)
    allow_private = context.settings.webhooks_allow_private

    async def check(url: str) -> None:
        try:
            await check_webhook_url(url, resolver, allow_private=allow_private, own=own)
        except WebhookAddressError as error:
            raise BadRequestError(f"url: {error}", field="url") from error

    return check


def _create(context: AppContext) -> Create[WebhookBody, Webhook]:
    check_url = url_check(context)

    async def create(project_id: str, body: WebhookBody) -> Webhook:
        require_known_events(body.events, context.event_types)
        await check_url(body.url)
        return Webhook(
            id=f"wh_{secrets.token_hex(12)}",
            project_id=project_id,
            url=body.url,
            events=tuple(dict.fromkeys(body.events)),
            description=body.description,
            secret=new_signing_secret(),
            created_us=now_us(),
        )

    return create


def require_known_events(events: list[str], event_types: EventTypes) -> None:
    """Refuse a subscription to an event that is not registered."""
    for index, event in enumerate(events):
        if event not in event_types:
            raise BadRequestError(
                f"events.{index}: unknown event {event!r}; allowed: {', '.join(event_types)}",
                field=f"events.{index}",
                allowed=tuple(event_types),
            )


def _check_change(
    context: AppContext,
) -> Callable[[WebhookBody | WebhookChange, Webhook], Awaitable[None]]:
    check_url = url_check(context)

    async def check(body: WebhookBody | WebhookChange, _held: Webhook) -> None:
        require_known_events(body.events or [], context.event_types)
        if body.url is not None:
            await check_url(body.url)

    return check


def _changed(webhook: Webhook, body: WebhookBody | WebhookChange) -> Webhook:
    given = body.model_dump(exclude_none=True, exclude={"events"})
    changed = webhook.model_copy(update=given)
    return changed if body.events is None else changed.with_events(body.events, now_us())


def _add_rotation(router: APIRouter, context: AppContext) -> None:
    @router.post(
        "/v1/webhooks/{webhook_id}/rotate-secret",
        summary="Rotate the secret of a webhook",
        responses={
            200: context.documented.response(
                WebhookCreated, "The webhook with its new secret.", WEBHOOK_CREATED_EXAMPLE
            )
        },
    )
    async def rotate_secret(
        project_id: ProjectId, webhook_id: WebhookId, body: SecretRotation = _ROTATION_BY_DEFAULT
    ) -> Response:
        """Replace the secret; only this response contains the new one.

        For `overlap_s` seconds, deliveries have two signatures in `webhook-signature`: with the new
        secret, and with the old one.
        """
        rotated = await rotate_webhook(context, project_id, webhook_id, body)
        response = json_response(_created(rotated))
        with_etag(response, rotated)
        return response


async def rotate_webhook(
    context: AppContext, project_id: str, webhook_id: str, body: SecretRotation
) -> Webhook:
    """Replace the secret of a webhook.

    Raises:
        NotFoundError: the project has no such webhook.
        ControlError: the control log does not respond.
    """
    found = find(context, Webhook, project_id, webhook_id)
    secret, until_us = new_signing_secret(), now_us() + body.overlap_s * _SECOND_US
    rotated = await context.control.update(
        Webhook, found.id, lambda held: held.with_new_secret(secret, until_us)
    )
    if rotated is None:
        raise NotFoundError(f"no webhook {webhook_id!r}")
    return rotated


class Redelivery(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"since": "2026-11-21T00:00:00Z"}]}
    )

    since: RangeInstant = Field(
        description="Alerts that were created since then are delivered again."
    )


def _add_requests(router: APIRouter, context: AppContext) -> None:
    @router.post(
        "/v1/webhooks/{webhook_id}/test",
        status_code=202,
        summary="Send a test to a webhook",
        responses={
            202: context.documented.response(
                DeliveryRequested, "The test is sent once.", REQUESTED_EXAMPLE
            )
        },
    )
    async def test_webhook(
        project_id: ProjectId, webhook_id: WebhookId, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Send the event `webhook.test`; `GET /v1/deliveries/{delivery_id}` shows the result."""
        webhook = find(context, Webhook, project_id, webhook_id)
        return json_response(await request_test(context, webhook, idempotency_key), status=202)

    @router.post(
        "/v1/webhooks/{webhook_id}/redeliver",
        status_code=202,
        summary="Repeat the deliveries to a webhook",
        responses={
            202: context.documented.response(
                DeliveryRequested, "They are delivered again.", REPETITION_EXAMPLE
            )
        },
    )
    async def redeliver_all(
        project_id: ProjectId,
        webhook_id: WebhookId,
        body: Redelivery,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Deliver all alerts since a time again, in order, with the same `webhook-id`s."""
        webhook = find(context, Webhook, project_id, webhook_id)
        answer = await redeliver_since(context, webhook, body, idempotency_key)
        return json_response(answer, status=202)


async def redeliver_since(
    context: AppContext, webhook: Webhook, body: Redelivery, idempotency_key: str | None = None
) -> DeliveryRequested:
    """Request that all alerts since a time are delivered again.

    Raises:
        BadRequestError: the time is too early, or in the future.
        ConflictError, ControlError: as ``request_delivery``.
    """
    age_max_h = context.settings.redelivery_age_max_h
    if not now_us() - age_max_h * _HOUR_US <= body.since <= now_us():
        raise BadRequestError(f"since: must be in the last {age_max_h} hours", field="since")
    request = await request_delivery(
        context, webhook, idempotency_key, action="redeliver", since_us=body.since
    )
    return DeliveryRequested(request_id=request.id, delivery_id=None)


def shown_webhook(webhook: Webhook) -> WebhookOut:
    """Return a webhook as responses show it, without its secret."""
    until_us = webhook.overlap_until_us
    return WebhookOut(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        description=webhook.description,
        disabled=webhook.disabled,
        created_at=iso(webhook.created_us),
        previous_secret_valid_until=iso(until_us) if until_us else None,
    )


def _created(webhook: Webhook) -> WebhookCreated:
    return WebhookCreated(**msgspec.structs.asdict(shown_webhook(webhook)), secret=webhook.secret)


RESOURCE: Final = Resource(
    record=Webhook,
    path="/v1/webhooks",
    body=WebhookBody,
    create=_create,
    shown=shown_webhook,
    shown_type=WebhookOut,
    example=WEBHOOK_EXAMPLE,
    created=_created,
    created_type=WebhookCreated,
    created_example=WEBHOOK_CREATED_EXAMPLE,
    change=Change(WebhookChange, _changed, check=_check_change),
    replace=_changed,
    check_replacement=_check_change,
    about_create="Deliveries follow Standard Webhooks, with the headers `webhook-id`,"
    " `webhook-timestamp` and `webhook-signature`. An event is delivered at least once; repeated"
    " deliveries have the same `webhook-id`.",
    about_created="The new webhook, with its secret.",
    routes=(_add_rotation, _add_requests),
)
