"""Define types of channels: their settings, and the requests that bring messages to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from producers.notifications.message import Message

Url = Annotated[str, Field(min_length=1, max_length=2_000)]
Token = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]
"""A secret or id that is sent in a header or a URL."""
HIDDEN: Final = "…"
COLORS: Final[Mapping[str, int]] = {"info": 0x439FE0, "warning": 0xF2A33A, "critical": 0xD00000}
RESOLVED_COLOR: Final = 0x2EB67D


class ChannelSettings(BaseModel):
    """The fields of a channel that only its type has."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


SettingsT = TypeVar("SettingsT", bound=ChannelSettings)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A ``POST`` request; its address is checked when it is sent."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Email:
    """A message to send by SMTP; the address of the server is checked when it is sent."""

    host: str
    port: int
    security: str
    """``starttls``, ``tls`` or ``none``."""
    username: str
    password: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    message_id: str


class ChannelType(ABC, Generic[SettingsT]):
    """A type of channel; each module of ``producers.notifications.channel_types`` defines one."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names that the API accepts, such as that of the service in another country."""
    settings: ClassVar[type[ChannelSettings]]
    secrets: ClassVar[frozenset[str]] = frozenset()
    """Settings that the API does not show."""

    def parse(self, settings: Mapping[str, Any]) -> SettingsT:
        """Return the settings of a channel.

        Raises:
            ValidationError: they are not valid.
        """
        return self.settings.model_validate(dict(settings))  # type: ignore[return-value]

    def shown(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings without their secrets."""
        return {
            name: HIDDEN if name in self.secrets and value else value
            for name, value in settings.items()
        }

    @abstractmethod
    def address(self, settings: SettingsT) -> str:
        """Return the URL that requests go to; of an e-mail server, ``smtp://HOST:PORT``."""

    @abstractmethod
    def outgoing(self, settings: SettingsT, message: Message, now_us: int) -> HttpRequest | Email:
        """Return what to send."""

    def fault_in(self, answer: str) -> str:  # noqa: ARG002
        """Return the error that a successful response contains; empty if there is none."""
        return ""


def json_request(url: str, body: object, **headers: str) -> HttpRequest:
    """Return a request with a JSON body; underscores in names of headers are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(url, msgspec.json.encode(body), {"content-type": "application/json"} | named)


def color_of(message: Message) -> int:
    """Return the color of a message, as 0xRRGGBB."""
    return RESOLVED_COLOR if message.status == "resolved" else COLORS[message.severity]


def fault_of_code(answer: str, code_field: str, text_field: str) -> str:
    """Return the error in a JSON answer whose code is not 0; empty if there is none."""
    try:
        found = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return ""
    if not isinstance(found, dict) or not found.get(code_field):
        return ""
    return f"{code_field} {found[code_field]}: {found.get(text_field, '')}"
