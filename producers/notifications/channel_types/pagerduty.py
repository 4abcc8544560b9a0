"""``pagerduty``: events of PagerDuty (Events API v2); a group of alerts is one incident."""

from __future__ import annotations

from typing import Any

from producers.notifications.channel_type import (
    ChannelSettings,
    ChannelType,
    HttpRequest,
    Token,
    Url,
    json_request,
)
from producers.notifications.event_type import iso_time
from producers.notifications.message import Message

SUMMARY_CHARS_MAX = 1_024
DETAIL_CHARS_MAX = 10_000


class PagerDutySettings(ChannelSettings):
    routing_key: Token
    """Integration key of the service."""
    url: Url = "https://events.pagerduty.com/v2/enqueue"


class PagerDuty(ChannelType[PagerDutySettings]):
    """The channel type ``pagerduty``."""

    name = "pagerduty"
    settings = PagerDutySettings
    secrets = frozenset({"routing_key"})

    def address(self, settings: PagerDutySettings) -> str:
        return settings.url

    def outgoing(self, settings: PagerDutySettings, message: Message, now_us: int) -> HttpRequest:  # noqa: ARG002
        event: dict[str, Any] = {
            "routing_key": settings.routing_key,
            "dedup_key": message.group_id,
            "event_action": "resolve" if message.status == "resolved" else "trigger",
            "payload": {
                "summary": message.title[:SUMMARY_CHARS_MAX],
                "source": "tracemill",
                "severity": message.severity,
                "timestamp": iso_time(message.created_us),
                "custom_details": {"text": message.text[:DETAIL_CHARS_MAX], **message.group},
            },
        }
        return json_request(settings.url, event)
