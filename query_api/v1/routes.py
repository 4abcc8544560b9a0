"""Serve ``/v1/routes``: which alerts channels receive, and how they are grouped."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, WithJsonSchema

from producers.control.kinds.channel import Channel
from producers.control.kinds.route import (
    CHANNELS_MAX,
    GROUP_BY_MAX,
    INTERVAL_MAX_S,
    LABELS_MAX,
    VALUES_MAX,
    Route,
)
from producers.notifications.registry import EVENT_TYPES
from producers.sentences import FieldWarning, Sentence
from query_api.body import Body, of_changes
from query_api.context import AppContext
from query_api.durations import duration_s
from query_api.errors import BadRequestError
from query_api.openapi.channel_examples import ROUTE_EXAMPLE, ROUTE_REQUEST_EXAMPLE
from query_api.texts import OneLine, RecordName
from query_api.times import iso
from query_api.v1.crud import Change, Create, Resource
from query_api.v1.webhooks import EventName, require_known_events
from tracemill.clock import now_us

Text = Annotated[OneLine, Field(max_length=500)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=VALUES_MAX)]
LabelName = Annotated[OneLine, Field(min_length=1, max_length=100)]


def _pause_s(value: object) -> object:
    return duration_s(value) if isinstance(value, str) else value


def _names(name: str) -> AliasChoices:
    """Accept the name of Alertmanager, too, which has no unit."""
    return AliasChoices(f"{name}_s", name)


Pause = Annotated[
    float,
    Field(ge=0, le=INTERVAL_MAX_S),
    BeforeValidator(_pause_s),
    WithJsonSchema({"type": ["number", "string"], "examples": [30, "30s"]}),
]


Events = Annotated[
    list[EventName],
    Field(
        max_length=VALUES_MAX,
        json_schema_extra={"items": {"type": "string", "enum": list(EVENT_TYPES)}},
    ),
]
Severities = Annotated[list[Literal["info", "warning", "critical"]], Field(max_length=3)]
RuleIds = Annotated[list[Text], Field(max_length=VALUES_MAX)]
Labels = Annotated[
    dict[LabelName, Texts], Field(max_length=LABELS_MAX, description="Allowed values of labels.")
]
ChannelIds = Annotated[list[Text], Field(min_length=1, max_length=CHANNELS_MAX)]
GroupBy = Annotated[
    list[LabelName],
    Field(
        max_length=GROUP_BY_MAX,
        description="Alerts with the same values of these labels are in one message. Besides the"
        " labels of alerts: `event`, `severity`, `rule_id`, `rule_name`, `rule_kind`,"
        " `episode_id`.",
    ),
]


class RouteBody(Body):
    """A route. An alert must meet all conditions; those that are not given hold for any alert."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [ROUTE_REQUEST_EXAMPLE]}
    )

    name: RecordName
    events: Events = []
    severities: Severities = []
    rule_ids: RuleIds = []
    labels: Labels = {}
    channel_ids: ChannelIds
    group_by: GroupBy = ["rule_id"]
    group_wait_s: Pause = Field(
        10.0,
        validation_alias=_names("group_wait"),
        description="Pause before the first message of a group: seconds, or text such as `30s`."
        " `group_wait` is the same field; so for the following ones.",
    )
    group_interval_s: Pause = Field(
        300.0,
        validation_alias=_names("group_interval"),
        description="Minimum pause between messages about changes of a group.",
    )
    repeat_interval_s: Pause = Field(
        14_400.0,
        validation_alias=_names("repeat_interval"),
        description="Pause after which a group that still fires is reported again.",
    )


class RouteChange(Body):
    """The fields of a route that change.

    Conditions and channels apply to alerts from now on. The end of an episode is also sent to the
    channels that have received its beginning.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra=of_changes({"severities": ["critical", "warning"]}),
    )

    name: RecordName | None = None
    events: Events | None = None
    severities: Severities | None = None
    rule_ids: RuleIds | None = None
    labels: Labels | None = None
    channel_ids: ChannelIds | None = None
    group_by: GroupBy | None = None
    group_wait_s: Pause | None = Field(None, validation_alias=_names("group_wait"))
    group_interval_s: Pause | None = Field(None, validation_alias=_names("group_interval"))
    repeat_interval_s: Pause | None = Field(None, validation_alias=_names("repeat_interval"))
    disabled: bool | None = None


class RouteOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    events: list[str]
    severities: list[str]
    rule_ids: list[str]
    labels: dict[str, list[str]]
    channel_ids: list[str]
    group_by: list[str]
    group_wait_s: float
    group_interval_s: float
    repeat_interval_s: float
    disabled: bool
    created_at: str
    warnings: list[str]
    """Pauses that have no effect."""


def _create(context: AppContext) -> Create[RouteBody, Route]:
    async def create(project_id: str, body: RouteBody) -> Route:
        _require_known(context, project_id, body.events, body.channel_ids)
        return Route(
            id=f"rt_{secrets.token_hex(12)}",
            project_id=project_id,
            created_us=now_us(),
            **_fields(body),
        )

    return create


def _require_known(
    context: AppContext, project_id: str, events: list[EventName], channel_ids: list[str]
) -> None:
    """Refuse events and channels that do not exist."""
    require_known_events(events, context.event_types)
    channels = context.control.view.in_project(Channel, project_id)
    for index, channel_id in enumerate(channel_ids):
        if channel_id not in channels:
            field = f"channel_ids.{index}"
            raise BadRequestError(f"{field}: no channel {channel_id!r}", field=field)


def _fields(body: Body) -> dict[str, Any]:
    """Return the fields of a record that a body sets."""
    fields: dict[str, Any] = {
        name: tuple(dict.fromkeys(value)) if isinstance(value, list) else value
        for name, value in body.model_dump(exclude_none=True).items()
    }
    if "labels" in fields:
        fields["labels"] = {name: tuple(values) for name, values in fields["labels"].items()}
    return fields


def _check_change(
    context: AppContext,
) -> Callable[[RouteBody | RouteChange, Route], Awaitable[None]]:
    async def check(body: RouteBody | RouteChange, held: Route) -> None:
        _require_known(context, held.project_id, body.events or [], body.channel_ids or [])

    return check


def _changed(route: Route, body: RouteBody | RouteChange) -> Route:
    return route.changed(_fields(body), now_us())


_NO_EFFECT: Final = (
    "has no effect while a group fires, because the group is repeated after repeat_interval_s"
    " (%(seconds)s s); choose a shorter one"
)
_LONG_WAIT: Final = (
    "the first message of a group waits longer than the messages about its changes"
    " (group_interval_s is %(seconds)s s)"
)
TEMPLATES: Final = (_NO_EFFECT, _LONG_WAIT)


def pause_warnings(route: Route) -> list[FieldWarning]:
    """Return warnings about pauses of a route that have no effect beside the others."""
    found = []
    if 0 < route.repeat_interval_s <= route.group_interval_s:
        repeated = Sentence(_NO_EFFECT, {"seconds": f"{route.repeat_interval_s:g}"})
        found.append(FieldWarning("group_interval_s", repeated))
    if route.group_wait_s > route.group_interval_s:
        waiting = Sentence(_LONG_WAIT, {"seconds": f"{route.group_interval_s:g}"})
        found.append(FieldWarning("group_wait_s", waiting))
    return found


def _shown(route: Route) -> RouteOut:
    return RouteOut(
        id=route.id,
        name=route.name,
        events=list(route.events),
        severities=list(route.severities),
        rule_ids=list(route.rule_ids),
        labels={name: list(values) for name, values in route.labels.items()},
        channel_ids=list(route.channel_ids),
        group_by=list(route.group_by),
        group_wait_s=route.group_wait_s,
        group_interval_s=route.group_interval_s,
        repeat_interval_s=route.repeat_interval_s,
        disabled=route.disabled,
        created_at=iso(route.created_us),
        warnings=[str(each) for each in pause_warnings(route)],
    )


RESOURCE: Final = Resource(
    record=Route,
    path="/v1/routes",
    body=RouteBody,
    create=_create,
    shown=_shown,
    shown_type=RouteOut,
    example=ROUTE_EXAMPLE,
    change=Change(RouteChange, _changed, check=_check_change),
    replace=_changed,
    check_replacement=_check_change,
    about_create="An alert is sent to the channels of every route whose conditions it meets, in"
    " messages per group, as Alertmanager does. Only alerts from now on are sent.",
)
