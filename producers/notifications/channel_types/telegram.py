"""``telegram``: messages of a bot of Telegram."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Url,
    json_request,
)
from producers.notifications.message import Message

TEXT_CHARS_MAX = 4_000


class TelegramSettings(ChannelSettings):
    bot_token: Annotated[str, Field(pattern=r"^[0-9]{1,20}:[A-Za-z0-9_-]{20,100}$")]
    chat_id: Annotated[str, Field(pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$")]
    url: Url = "https://api.telegram.org"
    """Address of the Bot API."""


class Telegram(ChannelType[TelegramSettings]):
    """The channel type ``telegram``."""

    name = "telegram"
    settings = TelegramSettings
    secrets = frozenset({"bot_token"})

    def address(self, settings: TelegramSettings) -> str:
        return settings.url

    def outgoing(self, settings: TelegramSettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        text = f"{message.title}\n{message.text}"[:TEXT_CHARS_MAX]
        url = f"{settings.url.rstrip('/')}/bot{settings.bot_token}/sendMessage"
        return json_request(url, {"chat_id": settings.chat_id, "text": text})
