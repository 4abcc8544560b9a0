"""Convert forms of channels, routes and webhooks to bodies of the API, and records to forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from producers.control.kinds.channel import Channel
from producers.control.kinds.route import Route
from producers.notifications.channel_type import ChannelType
from query_api.console.form_bodies import (
    Faults,
    FormError,
    body_of,
    checked,
    lines_of,
    whole_number,
    words_of,
)
from query_api.durations import duration_text
from query_api.v1.channels import ChannelBody, ChannelChange
from query_api.v1.routes import RouteBody, RouteChange

CHANNEL_FIELDS: Final = (
    "name", "events", "send_resolved", "title_template", "text_template", "rate_per_minute",
)  # fmt: skip
ROUTE_FIELDS: Final = (
    *("name", "events", "severities", "rule_ids", "labels", "channel_ids", "group_by"),
    *("group_wait_s", "group_interval_s", "repeat_interval_s"),
)
SEVERITIES: Final = ("info", "warning", "critical")
_SETTING: Final = "settings."
_PAUSES: Final = ("group_wait_s", "group_interval_s", "repeat_interval_s")


@dataclass(frozen=True, slots=True)
class SettingField:
    """A field of a type of channels, as a form shows it."""

    name: str
    """Name in the form."""
    label: str
    kind: Literal["text", "number", "secret", "list", "choice"]
    is_required: bool
    default: str
    options: Sequence[str] = ()


def settings_of(kind: ChannelType[Any]) -> list[SettingField]:
    """Return the fields of a type, in their order."""
    fields = []
    for name, info in kind.settings.model_fields.items():
        annotation, options = info.annotation, ()
        shown: Literal["text", "number", "secret", "list", "choice"] = "text"
        if name in kind.secrets:
            shown = "secret"
        elif annotation is int:
            shown = "number"
        elif get_origin(annotation) is list:
            shown = "list"
        elif get_origin(annotation) is Literal:
            shown, options = "choice", get_args(annotation)
        default = "" if info.is_required() or info.default is None else str(info.default)
        fields.append(
            SettingField(_SETTING + name, name, shown, info.is_required(), default, options)
        )
    return fields


def channel_body(form: Mapping[str, str], kind: ChannelType[Any]) -> ChannelBody:
    """Return the body of a new channel.

    Raises:
        FormError: the form is not valid.
    """
    common = _common(form) | {"type": kind.name, "events": checked(form, "events.")}
    return body_of(ChannelBody, common | _settings(form, kind))


def channel_change(form: Mapping[str, str], kind: ChannelType[Any]) -> ChannelChange:
    """Return the body that changes a channel; secrets that are not typed remain.

    Raises:
        FormError: the form is not valid.
    """
    return body_of(ChannelChange, _common(form) | _settings(form, kind))


def form_of_channel(channel: Channel, kind: ChannelType[Any]) -> dict[str, str]:
    """Return the fields of the form of a channel, without its secrets."""
    form = {
        "name": channel.name,
        "title_template": channel.title_template,
        "text_template": channel.text_template,
        "rate_per_minute": str(channel.rate_per_minute),
    }
    if channel.send_resolved:
        form["send_resolved"] = "on"
    form |= {f"events.{each}": "on" for each in channel.events}
    for name, value in channel.settings.items():
        if name not in kind.secrets:
            is_list = isinstance(value, list | tuple)
            form[_SETTING + name] = "\n".join(value) if is_list else str(value)
    return form


def named_as_in_form(faults: Faults, kind: ChannelType[Any]) -> Faults:
    """Return the messages by the names of the form, in which settings have a prefix."""
    settings = kind.settings.model_fields
    return {
        _SETTING + name if name.partition(".")[0] in settings else name: message
        for name, message in faults.items()
    }


def route_values(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of the body that a form of a route describes.

    Raises:
        FormError: the form is not valid.
    """
    values: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "events": checked(form, "events."),
        "severities": checked(form, "severities."),
        "rule_ids": words_of(form.get("rule_ids", "")),
        "labels": _labels(form.get("labels", "")),
        "channel_ids": checked(form, "channel_ids."),
        "group_by": words_of(form.get("group_by", "")),
    }
    return values | {name: text for name in _PAUSES if (text := form.get(name, "").strip())}


def route_body(form: Mapping[str, str]) -> RouteBody:
    """Return the body of a new route. Raises like ``route_values``."""
    return body_of(RouteBody, route_values(form))


def route_change(form: Mapping[str, str]) -> RouteChange:
    """Return the body that changes a route. Raises like ``route_values``."""
    return body_of(RouteChange, route_values(form))


def form_of_route(route: Route) -> dict[str, str]:
    """Return the fields of the form of a route."""
    form = {
        "name": route.name,
        "rule_ids": ", ".join(route.rule_ids),
        "labels": "\n".join(f"{name} = {', '.join(each)}" for name, each in route.labels.items()),
        "group_by": ", ".join(route.group_by),
    }
    for name in _PAUSES:
        seconds: float = getattr(route, name)
        form[name] = duration_text(int(seconds)) if seconds == int(seconds) else f"{seconds}"
    for name in ("events", "severities", "channel_ids"):
        form |= {f"{name}.{each}": "on" for each in getattr(route, name)}
    return form


def _common(form: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "send_resolved": "send_resolved" in form,
        "title_template": form.get("title_template", ""),
        "text_template": form.get("text_template", "").replace("\r\n", "\n"),
    }
    if rate := form.get("rate_per_minute", "").strip():
        values["rate_per_minute"] = whole_number(rate, "rate_per_minute")
    return values


def _settings(form: Mapping[str, str], kind: ChannelType[Any]) -> dict[str, Any]:
    """Return the settings that are filled in."""
    found: dict[str, Any] = {}
    for each in settings_of(kind):
        text = form.get(each.name, "").strip()
        if each.kind == "list":
            found[each.label] = lines_of(text.replace(",", "\n"), each.name)
        elif text and each.kind == "number":
            found[each.label] = whole_number(text, each.name)
        elif text or (each.kind == "text" and not each.is_required and each.name in form):
            found[each.label] = text or each.default
    return found


def _labels(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines_of(text, "labels"):
        name, sign, values = (part.strip() for part in line.partition("="))
        if not sign or not name:
            message = f"{line[:64]!r} is not a line such as team = search, billing"
            raise FormError({"labels": message})
        found[name] = words_of(values)
    return found
