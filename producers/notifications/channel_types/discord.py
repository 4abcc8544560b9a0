"""``discord``: webhooks of Discord."""

from __future__ import annotations

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Url,
    color_of,
    json_request,
)
from producers.notifications.message import Message

DESCRIPTION_CHARS_MAX = 4_000


class DiscordSettings(ChannelSettings):
    url: Url
    """URL of the webhook, which is a secret."""


class Discord(ChannelType[DiscordSettings]):
    """The channel type ``discord``."""

    name = "discord"
    settings = DiscordSettings
    secrets = frozenset({"url"})

    def address(self, settings: DiscordSettings) -> str:
        return settings.url

    def outgoing(self, settings: DiscordSettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        embed = {
            "title": message.title,
            "description": message.text[:DESCRIPTION_CHARS_MAX],
            "color": color_of(message),
        }
        # Names such as @everyone in the text must not notify users.
        return json_request(settings.url, {"embeds": [embed], "allowed_mentions": {"parse": []}})
