"""``webhook``: groups of alerts as JSON, signed as specified by Standard Webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from pydantic import Field
from standardwebhooks import Webhook as Signer

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Url,
)
from producers.notifications.event_type import iso_time
from producers.notifications.message import Message


class WebhookChannelSettings(ChannelSettings):
    url: Url
    secret: Annotated[str, Field(pattern=r"^whsec_[A-Za-z0-9+/]{16,200}={0,2}$")] | None = None
    """Key of the signatures; without it, requests are not signed."""


class WebhookChannel(ChannelType[WebhookChannelSettings]):
    """The channel type ``webhook``."""

    name = "webhook"
    settings = WebhookChannelSettings
    secrets = frozenset({"secret"})

    def address(self, settings: WebhookChannelSettings) -> str:
        return settings.url

    def outgoing(
        self, settings: WebhookChannelSettings, message: Message, now_us: int
    ) -> HttpRequest:
        data = msgspec.to_builtins(message)
        del data["created_us"]
        body = msgspec.json.encode(
            {
                "type": f"alerts.{message.status}",
                "timestamp": iso_time(message.created_us),
                "data": data,
            }
        )
        headers = {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(now_us // 1_000_000),
        }
        if settings.secret is not None:
            at = datetime.fromtimestamp(now_us // 1_000_000, UTC)
            signature = Signer(settings.secret).sign(message.id, at, body.decode())
            headers["webhook-signature"] = signature
        return HttpRequest(settings.url, body, headers)
