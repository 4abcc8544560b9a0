"""``teams``: webhooks of Microsoft Teams (workflows), which accept Adaptive Cards."""

from __future__ import annotations

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Url,
    json_request,
)
from producers.notifications.message import Message

TEXT_CHARS_MAX = 10_000


class TeamsSettings(ChannelSettings):
    url: Url
    """URL of the webhook, which is a secret."""


class Teams(ChannelType[TeamsSettings]):
    """The channel type ``teams``."""

    name = "teams"
    settings = TeamsSettings
    secrets = frozenset({"url"})

    def address(self, settings: TeamsSettings) -> str:
        return settings.url

    def outgoing(self, settings: TeamsSettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [
                {"type": "TextBlock", "text": message.title, "weight": "bolder", "wrap": True},
                {"type": "TextBlock", "text": message.text[:TEXT_CHARS_MAX], "wrap": True},
            ],
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
        return json_request(settings.url, {"type": "message", "attachments": [attachment]})
