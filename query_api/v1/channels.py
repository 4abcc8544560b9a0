"""Serve ``/v1/channels``: services that receive messages about a project's alerts."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field, ValidationError
from starlette.responses import Response

from producers.control.kinds.channel import TEMPLATE_CHARS_MAX, Channel
from producers.control.own_endpoints import OwnEndpoints, own_endpoints
from producers.control.resolver import Resolver
from producers.control.webhook_guard import WebhookTarget, check_webhook_url, checked_addresses
from producers.errors import WebhookAddressError
from producers.notifications.channel_registry import CHANNEL_TYPES
from producers.notifications.channel_type import HIDDEN, ChannelType, Email
from producers.notifications.registry import EVENT_TYPES
from query_api.body import Body
from query_api.context import AppContext, ProjectId, ReadingProject
from query_api.errors import BadRequestError
from query_api.notifications.sample import sample_message
from query_api.openapi.channel_examples import (
    CHANNEL_EXAMPLE,
    CHANNEL_REQUEST_EXAMPLE,
    CHANNEL_TEST_EXAMPLE,
    PREVIEW_EXAMPLE,
)
from query_api.responses import json_response
from query_api.texts import RecordName
from query_api.times import iso
from query_api.v1.control_requests import IdempotencyKey
from query_api.v1.crud import Change, Create, Resource
from query_api.v1.delivery_requests import DeliveryRequested, request_test
from query_api.v1.records import find
from query_api.v1.webhooks import EventName, require_known_events
from query_api.validation_messages import message_of
from tracemill.clock import now_us

_TYPES: Final[list[Any]] = sorted(CHANNEL_TYPES)
_NAMES: Final = {alias: each.name for each in CHANNEL_TYPES.values() for alias in each.aliases}
Template = Annotated[str, Field(max_length=TEMPLATE_CHARS_MAX)]
Rate = Annotated[int, Field(ge=1, le=600, description="Messages per minute; further ones wait.")]
ChannelId = Annotated[str, Path(max_length=128, examples=[CHANNEL_EXAMPLE["id"]])]
Events = Annotated[
    list[EventName],
    Field(
        max_length=20,
        description="Events whose alerts the channel receives at once, without a route.",
        json_schema_extra={"items": {"type": "string", "enum": list(EVENT_TYPES)}},
    ),
]


def _fields_of_types() -> str:
    return "; ".join(
        f"`{name}`: {', '.join(f'`{field}`' for field in each.settings.model_fields)}"
        for name, each in sorted(CHANNEL_TYPES.items())
    )


class ChannelBody(Body):
    """A channel. The other fields are those of its type, or are in `settings`, as in responses."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [CHANNEL_REQUEST_EXAMPLE]}
    )

    type: str = Field(max_length=64, json_schema_extra={"enum": _TYPES})
    name: RecordName
    events: Events = []
    send_resolved: bool = True
    title_template: Template = ""
    text_template: Template = ""
    rate_per_minute: Rate = 60


class ChannelChange(Body):
    """The fields of a channel that change; the others remain, also those of its type."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"disabled": True}]})

    name: RecordName | None = None
    send_resolved: bool | None = None
    title_template: Template | None = None
    text_template: Template | None = None
    rate_per_minute: Rate | None = None
    disabled: bool | None = None


class PreviewBody(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"state": "firing"}]})

    title_template: Template | None = None
    text_template: Template | None = None
    state: str = Field("firing", pattern="^(firing|resolved)$")


_PREVIEW_BY_DEFAULT: Final = PreviewBody()


class ChannelOut(msgspec.Struct, kw_only=True):
    id: str
    type: str
    name: str
    settings: dict[str, Any]
    """Fields of the type; secrets are shown as `…`."""
    events: list[str]
    send_resolved: bool
    title_template: str
    text_template: str
    rate_per_minute: int
    disabled: bool
    created_at: str


class PreviewOut(msgspec.Struct, kw_only=True):
    title: str
    text: str
    url: str
    """Where the message is sent to; `…` if that is a secret."""
    body: Any
    """What is sent, without secrets."""


def type_of(name: str) -> ChannelType[Any]:
    """Return a type of channels.

    Raises:
        BadRequestError: there is no such type.
    """
    found = CHANNEL_TYPES.get(_NAMES.get(name, name))
    if found is None:
        allowed = tuple(sorted(CHANNEL_TYPES))
        raise BadRequestError(
            f"type: unknown type {name[:64]!r}; allowed: {', '.join(allowed)}",
            field="type",
            allowed=allowed,
        )
    return found


def parsed(kind: ChannelType[Any], settings: Mapping[str, Any]) -> Any:
    """Return the settings of a type.

    Raises:
        BadRequestError: they are not valid; the message names the field.
    """
    try:
        return kind.parse(settings)
    except ValidationError as error:
        issue = error.errors()[0]
        field = ".".join(map(str, issue["loc"]))
        allowed = tuple(kind.settings.model_fields)
        if issue["type"] == "extra_forbidden":
            message = f"{field}: unknown field; {kind.name} has {', '.join(allowed)}"
            raise BadRequestError(message, field=field, allowed=allowed) from error
        if issue["type"] == "missing":
            message = f"{field}: required for channels of type {kind.name}"
            raise BadRequestError(message, field=field) from error
        raise BadRequestError(f"{field}: {message_of(issue)}", field=field) from error


class _Addresses:
    """Check the addresses of channels."""

    def __init__(self, context: AppContext) -> None:
        self._resolver = Resolver()
        self._own: OwnEndpoints = own_endpoints(context.settings.webhooks_forbidden_ports)
        self._allow_private = context.settings.webhooks_allow_private

    async def check(self, kind: ChannelType[Any], settings: Any) -> None:
        """Refuse an address that messages may not be sent to."""
        address = kind.address(settings)
        is_smtp = address.startswith("smtp://") and "url" not in kind.settings.model_fields
        field = "host" if is_smtp else "url"
        try:
            if is_smtp:
                await checked_addresses(
                    _smtp_target(address),
                    self._resolver,
                    allow_private=self._allow_private,
                    own=self._own,
                )
            else:
                await check_webhook_url(
                    address, self._resolver, allow_private=self._allow_private, own=self._own
                )
        except WebhookAddressError as error:
            raise BadRequestError(f"{field}: {error}", field=field) from error


def _smtp_target(address: str) -> WebhookTarget:
    try:
        parts = urlsplit(address)
        return WebhookTarget("smtp", parts.hostname or "", parts.port or 0, "/")
    except ValueError as error:
        raise WebhookAddressError("not a name or address of a server") from error


def _check_templates(context: AppContext, title: str, text: str) -> None:
    """Refuse templates that cannot be rendered with a sample."""
    try:
        for state in ("firing", "resolved"):
            sample_message(context.event_types, state, title, text)
    except ValueError as error:
        field = str(error).partition(":")[0]
        raise BadRequestError(str(error), field=field) from error


def _settings_of(body: ChannelBody | ChannelChange) -> dict[str, Any]:
    """Return the fields of the type, which are in the body or in its member `settings`."""
    given = dict(body.model_extra or {})
    nested = given.pop("settings", {})
    return {**nested, **given} if isinstance(nested, dict) else {**given, "settings": nested}


def _create(context: AppContext) -> Create[ChannelBody, Channel]:
    addresses = _Addresses(context)

    async def create(project_id: str, body: ChannelBody) -> Channel:
        require_known_events(body.events, context.event_types)
        kind = type_of(body.type)
        settings = _settings_of(body)
        await addresses.check(kind, parsed(kind, settings))
        _check_templates(context, body.title_template, body.text_template)
        return Channel(
            id=f"ch_{secrets.token_hex(12)}",
            project_id=project_id,
            settings=settings,
            created_us=now_us(),
            events=tuple(dict.fromkeys(body.events)),
            **body.model_dump(include=_COMMON) | {"type": kind.name},
        )

    return create


_COMMON: Final = {
    *("type", "name", "send_resolved", "title_template", "text_template"),
    "rate_per_minute",
}


def _check_change(context: AppContext) -> Callable[[ChannelChange, Channel], Awaitable[None]]:
    addresses = _Addresses(context)

    async def check(body: ChannelChange, held: Channel) -> None:
        kind = type_of(held.type)
        for name in ("type", "events"):
            if name in (body.model_extra or {}):
                raise _fixed(name)
        changed = _changed(held, body)
        await addresses.check(kind, parsed(kind, changed.settings))
        _check_templates(context, changed.title_template, changed.text_template)

    return check


def _changed(channel: Channel, body: ChannelChange) -> Channel:
    given = body.model_dump(exclude_none=True, exclude=set(body.model_extra or {}))
    if channel.disabled and body.disabled is False:
        given["enabled_us"] = now_us()
    return channel.model_copy(update={**given, "settings": channel.settings | _settings_of(body)})


def _check_replacement(
    context: AppContext,
) -> Callable[[ChannelBody, Channel], Awaitable[None]]:
    addresses = _Addresses(context)

    async def check(body: ChannelBody, held: Channel) -> None:
        if type_of(body.type).name != held.type:
            raise _fixed("type")
        if set(body.events) != set(held.events):
            raise _fixed("events")
        kind = type_of(held.type)
        await addresses.check(kind, parsed(kind, _settings_of(body)))
        _check_templates(context, body.title_template, body.text_template)

    return check


def _fixed(name: str) -> BadRequestError:
    return BadRequestError(f"{name}: cannot be changed; create another channel", field=name)


def _replaced(channel: Channel, body: ChannelBody) -> Channel:
    given = body.model_dump(include=_COMMON - {"type"})
    return channel.model_copy(update={**given, "settings": _settings_of(body)})


def _add_requests(router: APIRouter, context: AppContext) -> None:
    @router.post(
        "/v1/channels/{channel_id}/preview",
        summary="Preview a message of a channel",
        responses={
            200: context.documented.response(
                PreviewOut, "What would be sent about a sample alert.", PREVIEW_EXAMPLE
            )
        },
    )
    async def preview(
        project_id: ReadingProject, channel_id: ChannelId, body: PreviewBody = _PREVIEW_BY_DEFAULT
    ) -> Response:
        """Render the channel's templates, or those of the body; nothing is sent."""
        channel = find(context, Channel, project_id, channel_id)
        return json_response(preview_message(context, channel, body))

    @router.post(
        "/v1/channels/{channel_id}/test",
        status_code=202,
        summary="Send a test to a channel",
        responses={
            202: context.documented.response(
                DeliveryRequested, "The test is sent once.", CHANNEL_TEST_EXAMPLE
            )
        },
    )
    async def test_channel(
        project_id: ProjectId, channel_id: ChannelId, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Send a test message; `GET /v1/deliveries/{delivery_id}` shows the result."""
        channel = find(context, Channel, project_id, channel_id)
        return json_response(await request_test(context, channel, idempotency_key), status=202)


def preview_message(context: AppContext, channel: Channel, body: PreviewBody) -> PreviewOut:
    """Render the message of a channel about a sample alert.

    Raises:
        BadRequestError: a template is not valid.
    """
    title = channel.title_template if body.title_template is None else body.title_template
    text = channel.text_template if body.text_template is None else body.text_template
    _check_templates(context, title, text)
    address = context.settings.public_url
    message = sample_message(context.event_types, body.state, title, text, address)
    kind = type_of(channel.type)
    settings = parsed(kind, channel.settings)
    outgoing = kind.outgoing(settings, message, now_us())
    if isinstance(outgoing, Email):
        shown: Any = {"subject": outgoing.subject, "text": outgoing.text}
        url = kind.address(settings)
    else:
        shown = msgspec.json.decode(outgoing.body)
        url = HIDDEN if "url" in kind.secrets else kind.address(settings)
    hidden = _without(shown, [str(channel.settings.get(name)) for name in kind.secrets])
    return PreviewOut(title=message.title, text=message.text, url=url, body=hidden)


def _without(value: Any, hidden: list[str]) -> Any:
    """Replace secrets in a JSON value."""
    if isinstance(value, dict):
        return {name: _without(each, hidden) for name, each in value.items()}
    if isinstance(value, list):
        return [_without(each, hidden) for each in value]
    return HIDDEN if isinstance(value, str) and value in hidden else value


def shown_channel(channel: Channel) -> ChannelOut:
    """Return a channel as responses show it, without secrets."""
    kind = CHANNEL_TYPES.get(channel.type)
    return ChannelOut(
        id=channel.id,
        type=channel.type,
        name=channel.name,
        settings={} if kind is None else kind.shown(channel.settings),
        events=list(channel.events),
        send_resolved=channel.send_resolved,
        title_template=channel.title_template,
        text_template=channel.text_template,
        rate_per_minute=channel.rate_per_minute,
        disabled=channel.disabled,
        created_at=iso(channel.created_us),
    )


RESOURCE: Final = Resource(
    record=Channel,
    path="/v1/channels",
    body=ChannelBody,
    create=_create,
    shown=shown_channel,
    shown_type=ChannelOut,
    example=CHANNEL_EXAMPLE,
    change=Change(ChannelChange, _changed, check=_check_change),
    replace=_replaced,
    check_replacement=_check_replacement,
    about_create="A channel receives alerts through routes (`/v1/routes`), and alerts of its"
    f" `events` without one. The fields of the types are: {_fields_of_types()}. Secrets are not"
    " shown again.",
    routes=(_add_requests,),
)
