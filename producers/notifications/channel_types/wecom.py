"""``wecom``: group robots of WeCom (WeChat Work)."""

from __future__ import annotations

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Url,
    fault_of_code,
    json_request,
)
from producers.notifications.message import Message

TEXT_BYTES_MAX = 2_000


class WeComSettings(ChannelSettings):
    url: Url
    """URL of the robot's webhook with its key, which is a secret."""


class WeCom(ChannelType[WeComSettings]):
    """The channel type ``wecom``."""

    name = "wecom"
    settings = WeComSettings
    secrets = frozenset({"url"})

    def address(self, settings: WeComSettings) -> str:
        return settings.url

    def outgoing(self, settings: WeComSettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        text = f"{message.title}\n{message.text}".encode()[:TEXT_BYTES_MAX].decode(errors="ignore")
        return json_request(settings.url, {"msgtype": "text", "text": {"content": text}})

    def fault_in(self, answer: str) -> str:
        return fault_of_code(answer, "errcode", "errmsg")
