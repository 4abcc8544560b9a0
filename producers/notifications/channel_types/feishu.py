"""``feishu``: custom bots of Feishu and Lark."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Token,
    Url,
    fault_of_code,
    json_request,
)
from producers.notifications.message import Message

TEXT_CHARS_MAX = 5_000


class FeishuSettings(ChannelSettings):
    url: Url
    """URL of the bot's webhook, which is a secret."""
    secret: Token | None = None
    """Key of signatures, if the bot requires them."""


class Feishu(ChannelType[FeishuSettings]):
    """The channel type ``feishu``."""

    name = "feishu"
    aliases = ("lark",)
    settings = FeishuSettings
    secrets = frozenset({"url", "secret"})

    def address(self, settings: FeishuSettings) -> str:
        return settings.url

    def outgoing(self, settings: FeishuSettings, message: Message, now_us: int) -> HttpRequest:
        text = f"{message.title}\n{message.text}"[:TEXT_CHARS_MAX]
        body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
        if settings.secret is not None:
            timestamp = str(now_us // 1_000_000)
            key = f"{timestamp}\n{settings.secret}".encode()
            digest = hmac.new(key, b"", hashlib.sha256).digest()
            body |= {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}
        return json_request(settings.url, body)

    def fault_in(self, answer: str) -> str:
        return fault_of_code(answer, "code", "msg")
