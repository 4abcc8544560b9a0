"""``opsgenie``: alerts of Opsgenie; a group of alerts is one alert there."""

from __future__ import annotations

from urllib.parse import quote

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Token,
    Url,
    json_request,
)
from producers.notifications.message import Message

MESSAGE_CHARS_MAX = 130
DESCRIPTION_CHARS_MAX = 15_000
_PRIORITIES = {"info": "P5", "warning": "P3", "critical": "P1"}


class OpsgenieSettings(ChannelSettings):
    api_key: Token
    url: Url = "https://api.opsgenie.com/v2/alerts"
    """In the European region, ``https://api.eu.opsgenie.com/v2/alerts``."""


class Opsgenie(ChannelType[OpsgenieSettings]):
    """The channel type ``opsgenie``."""

    name = "opsgenie"
    settings = OpsgenieSettings
    secrets = frozenset({"api_key"})

    def address(self, settings: OpsgenieSettings) -> str:
        return settings.url

    def outgoing(self, settings: OpsgenieSettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        authorization = f"GenieKey {settings.api_key}"
        if message.status == "resolved":
            alias = quote(message.group_id, safe="")
            url = f"{settings.url}/{alias}/close?identifierType=alias"
            body = {"source": "tracemill", "note": message.text[:DESCRIPTION_CHARS_MAX]}
            return json_request(url, body, authorization=authorization)
        alert = {
            "message": message.title[:MESSAGE_CHARS_MAX],
            "alias": message.group_id,
            "description": message.text[:DESCRIPTION_CHARS_MAX],
            "source": "tracemill",
            "priority": _PRIORITIES[message.severity],
            "details": message.group,
        }
        return json_request(settings.url, alert, authorization=authorization)
