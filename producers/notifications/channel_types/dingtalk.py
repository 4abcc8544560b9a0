"""``dingtalk``: custom robots of DingTalk."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

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


class DingTalkSettings(ChannelSettings):
    url: Url
    """URL of the robot's webhook with its access token, which is a secret."""
    secret: Token | None = None
    """Key of signatures, if the robot requires them."""


class DingTalk(ChannelType[DingTalkSettings]):
    """The channel type ``dingtalk``."""

    name = "dingtalk"
    settings = DingTalkSettings
    secrets = frozenset({"url", "secret"})

    def address(self, settings: DingTalkSettings) -> str:
        return settings.url

    def outgoing(self, settings: DingTalkSettings, message: Message, now_us: int) -> HttpRequest:
        url = settings.url
        if settings.secret is not None:
            timestamp = str(now_us // 1_000)
            signed = f"{timestamp}\n{settings.secret}".encode()
            digest = hmac.new(settings.secret.encode(), signed, hashlib.sha256).digest()
            sign = quote(base64.b64encode(digest), safe="")
            url += f"{'&' if '?' in url else '?'}timestamp={timestamp}&sign={sign}"
        text = f"{message.title}\n{message.text}"[:TEXT_CHARS_MAX]
        return json_request(url, {"msgtype": "text", "text": {"content": text}})

    def fault_in(self, answer: str) -> str:
        return fault_of_code(answer, "errcode", "errmsg")
