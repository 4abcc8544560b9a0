"""``slack``: incoming webhooks of Slack, and of services that accept the same format."""

from __future__ import annotations

from typing import Any

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Url,
    color_of,
    json_request,
)
from producers.notifications.message import Message

TEXT_CHARS_MAX = 3_000


class SlackSettings(ChannelSettings):
    url: Url
    """URL of the incoming webhook, which is a secret."""


def escaped(text: str) -> str:
    """Escape the characters that Slack interprets, such as those of mentions of everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Slack(ChannelType[SlackSettings]):
    """The channel type ``slack``."""

    name = "slack"
    settings = SlackSettings
    secrets = frozenset({"url"})

    def address(self, settings: SlackSettings) -> str:
        return settings.url

    def outgoing(self, settings: SlackSettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        text = escaped(message.text)[:TEXT_CHARS_MAX]
        attachment: dict[str, Any] = {
            "color": f"#{color_of(message):06x}",
            "text": text,
            "fallback": escaped(message.title),
            "mrkdwn_in": [],
        }
        return json_request(
            settings.url, {"text": escaped(message.title), "attachments": [attachment]}
        )
