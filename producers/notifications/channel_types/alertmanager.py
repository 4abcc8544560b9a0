"""``alertmanager``: the alerts API (v2) of an existing Prometheus Alertmanager."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import Field

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Token,
    Url,
    json_request,
)
from producers.notifications.event_type import iso_time
from producers.notifications.message import Message, MessageAlert

_SECOND_US: Final = 1_000_000
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]")


class AlertmanagerSettings(ChannelSettings):
    url: Url
    """Address of the Alertmanager, such as ``https://alertmanager.example.com``."""
    bearer_token: Token | None = None
    fires_for_s: int = Field(86_400, ge=60, le=30 * 86_400)
    """Time after which the Alertmanager considers an alert resolved, unless it is sent again;
    choose more than the ``repeat_interval_s`` of the route."""


def _labels(message: Message, alert: MessageAlert) -> dict[str, str]:
    named = {
        **alert.labels,
        "alertname": alert.name,
        "severity": alert.severity,
        "project": message.project_id,
        "rule_id": alert.rule_id,
        "episode_id": alert.episode_id,
    }
    return {_NOT_IN_NAMES.sub("_", name): value for name, value in named.items() if value}


class Alertmanager(ChannelType[AlertmanagerSettings]):
    """The channel type ``alertmanager``."""

    name = "alertmanager"
    settings = AlertmanagerSettings
    secrets = frozenset({"bearer_token"})

    def address(self, settings: AlertmanagerSettings) -> str:
        return settings.url

    def outgoing(
        self, settings: AlertmanagerSettings, message: Message, now_us: int
    ) -> HttpRequest:
        body: list[dict[str, Any]] = []
        for alert in message.alerts:
            is_resolved = alert.state == "resolved"
            ends_us = message.created_us if is_resolved else now_us
            if not is_resolved:
                ends_us += settings.fires_for_s * _SECOND_US
            posted = {
                "labels": _labels(message, alert),
                "annotations": {"summary": message.title} | alert.annotations,
                "endsAt": iso_time(ends_us),
            }
            if not is_resolved:
                posted["startsAt"] = alert.created_at
            body.append(posted)
        token = settings.bearer_token
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return json_request(f"{settings.url.rstrip('/')}/api/v2/alerts", body, **headers)
