"""Channels: services that receive messages about a project's alerts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from producers.control.fields import SecretField
from producers.control.record import Microseconds, ProjectRecord

TEMPLATE_CHARS_MAX = 4_000


class Channel(ProjectRecord):
    """A service, such as a channel of Slack, that receives messages about alerts."""

    kind = "channel"
    per_project_max = 50

    name: str = Field(min_length=1, max_length=255)
    type: str = Field(min_length=1, max_length=64)
    """Name of a type in ``producers.notifications.channel_registry``."""
    settings: Annotated[dict[str, Any], SecretField()] = Field(default={}, repr=False)
    """Fields of the type, such as a URL; some of them are secrets."""
    events: tuple[str, ...] = Field((), max_length=20)
    """Events whose alerts the channel receives without a route, one message each."""
    send_resolved: bool = True
    title_template: str = Field("", max_length=TEMPLATE_CHARS_MAX)
    text_template: str = Field("", max_length=TEMPLATE_CHARS_MAX)
    rate_per_minute: int = Field(60, ge=1, le=600)
    """Messages per minute; further ones wait, and collect the alerts of their group meanwhile."""
    created_us: Microseconds
    disabled: bool = False
    enabled_us: Microseconds = 0
    """When it was enabled again. Alerts until then are not sent."""

    @property
    def receives_from_us(self) -> int:
        """Return the time from which on the channel receives alerts."""
        return max(self.created_us, self.enabled_us)
