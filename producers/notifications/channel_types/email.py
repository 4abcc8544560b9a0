"""``email``: messages through an SMTP server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from producers.notifications.channel_type import ChannelSettings, ChannelType, Email
from producers.notifications.message import Message

RECIPIENTS_MAX = 50
_PART = r"[^\s@<>,;:\"()\[\]\\]+"
Address = Annotated[str, Field(max_length=254, pattern=rf"^{_PART}@{_PART}$")]


class EmailSettings(ChannelSettings):
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")]
    """Name of the SMTP server."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = Field("", max_length=320)
    password: str = Field("", max_length=500)
    sender: Address
    recipients: Annotated[list[Address], Field(min_length=1, max_length=RECIPIENTS_MAX)]


class EmailChannel(ChannelType[EmailSettings]):
    """The channel type ``email``."""

    name = "email"
    aliases = ("e-mail",)
    settings = EmailSettings
    secrets = frozenset({"password"})

    def address(self, settings: EmailSettings) -> str:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"smtp://{host}:{settings.port}"

    def outgoing(self, settings: EmailSettings, message: Message, now_us: int) -> Email:  # noqa: ARG002
        return Email(
            host=settings.host,
            port=settings.port,
            security=settings.security,
            username=settings.username,
            password=settings.password,
            sender=settings.sender,
            recipients=tuple(settings.recipients),
            subject=message.title,
            text=message.text,
            message_id=message.id,
        )
