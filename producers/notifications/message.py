"""Build the messages that channels receive about groups of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from producers.alerting import templates
from producers.console_paths import project_path
from producers.notifications.alert import Alert
from producers.notifications.event_type import decimal_text, iso_time
from producers.notifications.registry import EventTypes

ALERTS_SHOWN_MAX: Final = 50
"""Alerts of one message that are described; further ones are only counted."""
TITLE_CHARS_MAX: Final = 250
TEMPLATE_NAMES: Final = (
    *("title", "status", "severity", "project", "group", "alerts", "count", "omitted"),
    "firing_count",
)
"""Names that templates can use; ``title`` only in the text."""
DEFAULT_TITLE: Final = (
    "[{{ status | upper }}] {{ alerts[0].name }}"
    "{% if count > 1 %} and {{ count - 1 }} more{% endif %}"
)
DEFAULT_TEXT: Final = (
    "{% for alert in alerts %}{{ alert.text }}\n{% endfor %}"
    "{% if omitted %}… and {{ omitted }} more\n{% endif %}"
)
ANNOTATIONS_SHOWN: Final = ("summary", "description")
"""Annotations that the default text contains."""
_SEVERITIES: Final = ("info", "warning", "critical")


class MessageAlert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a message."""

    id: str
    event: str
    name: str
    rule_id: str
    state: str
    severity: str
    labels: dict[str, str]
    value: str | None
    threshold: str | None
    reason: str
    episode_id: str
    exemplars: tuple[str, ...]
    annotations: dict[str, str]
    created_at: str
    text: str
    """The default text: name, severity, what happened, labels, annotations and a trace."""
    data: dict[str, Any]
    """The member ``data`` of a webhook's body."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message about a group of alerts."""

    id: str
    """Also the ``webhook-id``; a repeated attempt has the same one."""
    project_id: str
    group_id: str
    """Identifies the group to receivers that join messages, such as PagerDuty."""
    group: dict[str, str]
    """Labels that the alerts have in common."""
    status: str
    """``firing`` or ``resolved``."""
    severity: str
    alerts: tuple[MessageAlert, ...]
    omitted: int = 0
    """Alerts that are not described."""
    firing_count: int = 0
    """Alerts of the group that fire, including those of earlier messages."""
    created_us: int
    title: str = ""
    text: str = ""


def message_alert(alert: Alert, event_types: EventTypes, public_url: str = "") -> MessageAlert:
    """Describe an alert; with the address of the console, its text has a link to a trace.

    Raises:
        msgspec.MsgspecError: its payload is not of its event type.
    """
    event_type = event_types.get(alert.event)
    data: Mapping[str, Any] = {}
    sentence = alert.state
    if event_type is not None:
        payload = event_type.payload_of(alert)
        sentence = event_type.sentence(alert, payload)
        shown = event_type.webhook_data(alert, payload)
        data = msgspec.json.decode(msgspec.json.encode(shown))
    group = data.get("group")
    labels = dict(alert.labels) | (group if isinstance(group, dict) else {})
    exemplars = tuple(map(str, data.get("exemplars") or ()))
    annotations = {str(k): str(v) for k, v in (data.get("annotations") or {}).items()}
    return MessageAlert(
        id=alert.id,
        event=alert.event,
        name=alert.name,
        rule_id=alert.rule_id,
        state=alert.state,
        severity=alert.severity,
        labels=labels,
        value=decimal_text(alert.value),
        threshold=decimal_text(alert.limit),
        reason=str(data.get("reason") or ""),
        episode_id=alert.episode,
        exemplars=exemplars,
        annotations=annotations,
        created_at=iso_time(alert.created_us),
        text=_alert_text(alert, sentence, labels, annotations, exemplars, public_url),
        data=dict(data),
    )


def _alert_text(
    alert: Alert,
    sentence: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    exemplars: Sequence[str],
    public_url: str,
) -> str:
    named = "".join(f", {name}={value}" for name, value in sorted(labels.items()))
    lines = [f"{alert.name} ({alert.severity}): {sentence}{named}"]
    lines += [annotations[name] for name in ANNOTATIONS_SHOWN if annotations.get(name)]
    if exemplars:
        trace_id = exemplars[0]
        address = public_url.rstrip("/") + project_path(alert.project_id, "traces", trace_id)
        lines.append(f"Trace: {address if public_url else trace_id}")
    return "\n".join(lines)


def message_of(
    alerts: Sequence[Alert],
    event_types: EventTypes,
    *,
    message_id: str,
    group_id: str,
    group: Mapping[str, str],
    firing_count: int,
    title_template: str = "",
    text_template: str = "",
    public_url: str = "",
) -> Message:
    """Return the message about alerts.

    Raises:
        msgspec.MsgspecError: the payload of an alert is not of its event type.
        ValueError: a template cannot be rendered.
    """
    shown = tuple(
        message_alert(each, event_types, public_url) for each in alerts[:ALERTS_SHOWN_MAX]
    )
    is_resolved = all(each.state == "resolved" for each in alerts)
    message = Message(
        id=message_id,
        project_id=alerts[0].project_id,
        group_id=group_id,
        group=dict(group),
        status="resolved" if is_resolved else "firing",
        severity=max((each.severity for each in alerts), key=_SEVERITIES.index),
        alerts=shown,
        omitted=len(alerts) - len(shown),
        firing_count=firing_count,
        created_us=max(each.created_us for each in alerts),
    )
    return worded(message, title_template, text_template)


def worded(message: Message, title_template: str, text_template: str) -> Message:
    """Return the message with its rendered title and text; empty templates are the defaults.

    Raises:
        ValueError: a template cannot be rendered; the message begins with its field.
    """
    values = values_of(message)
    title = _rendered("title_template", title_template, DEFAULT_TITLE, values)
    title = " ".join(title.split())[:TITLE_CHARS_MAX]
    text = _rendered("text_template", text_template, DEFAULT_TEXT, values | {"title": title})
    return msgspec.structs.replace(message, title=title, text=text.strip())


def _rendered(field: str, template: str, default: str, values: Mapping[str, Any]) -> str:
    if not template:  # a message about many alerts is cut, because it must be delivered
        return templates.render(default, values, cut=True)
    names = [name for name in TEMPLATE_NAMES if name in values]
    try:
        templates.check_names(template, names)
        return templates.render(template, values)
    except ValueError as error:
        members = ", ".join(MessageAlert.__struct_fields__)
        raise ValueError(
            f"{field}: the template does not render: {error}; it can use {', '.join(names)}, and of"
            f" each of `alerts`: {members}, and the members of the webhook's `data`"
        ) from error


def values_of(message: Message) -> dict[str, Any]:
    """Return the values of a message by their names in templates."""
    return {
        "status": message.status,
        "severity": message.severity,
        "project": message.project_id,
        "group": message.group,
        "alerts": [{**each.data, **msgspec.structs.asdict(each)} for each in message.alerts],
        "count": len(message.alerts) + message.omitted,
        "omitted": message.omitted,
        "firing_count": message.firing_count,
    }
