"""Define the settings of the console."""

from __future__ import annotations

import secrets
from typing import Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from query_api.console.client_addresses import networks_of

SECRET_MIN_CHARS: Final = 32


class ConsoleSettings(BaseSettings):
    """Sessions and limits of the console."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_CONSOLE_", frozen=True)

    secret: SecretStr = SecretStr("")
    """Secrets that sign sessions, separated by commas: the first one signs, and the others are
    still accepted. Each has 32 ASCII characters or more. All query processes must share them.
    Empty: `tracemill up` generates one; other processes generate one at each start, so that
    sessions end with the process."""
    session_h: float = Field(default=12.0, gt=0, le=720)
    """Time after which a session ends, in hours. It also ends if its key is revoked, or
    if the secret with which it started is no longer valid after a rotation."""
    link_valid_s: int = Field(default=600, ge=10, le=86_400)
    """Time for which a link to sign in is valid. It can be used once."""
    sign_in_attempts_max: int = Field(default=10, ge=1)
    """Maximum number of failed attempts to sign in from an address; above it: 429."""
    sign_in_window_s: int = Field(default=60, ge=1, le=86_400)
    """Time for which failed attempts count."""
    sign_in_clients_max: int = Field(default=10_000, ge=1)
    """Maximum number of addresses whose failed attempts are remembered; at it, the oldest one is
    forgotten."""
    trusted_proxies: str = ""
    """Addresses and networks of proxies, separated by commas, such as `10.0.0.0/8`. A request that
    comes from one of them is counted for the last address in `X-Forwarded-For` that is not one of
    them. Empty: the header is ignored."""
    operator_projects: str = ""
    """Projects, separated by commas, whose keys with the scope `admin` see lag, throughput and
    storage of the whole installation. Without this setting, they are shown if the installation has
    only one project."""
    text_chars_max: int = Field(default=20_000, ge=100)
    """Maximum number of characters of an input or output that a page shows; the rest is loaded on
    demand."""
    json_nodes_max: int = Field(default=1_000, ge=10)
    """Maximum number of values of a JSON text that a page shows as a tree; a text with more values
    is shown as text."""
    tree_rows_max: int = Field(default=200, ge=1, le=2_000)
    """Maximum number of observations of a trace that are part of its page; a script loads the
    others."""

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        for each in filter(None, value.get_secret_value().split(",")):
            if len(each) < SECRET_MIN_CHARS or not each.isascii() or " " in each:
                raise ValueError(
                    f"each secret must have {SECRET_MIN_CHARS} ASCII characters or more, no spaces"
                )
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, texts: str) -> str:
        networks_of(texts)
        return texts

    def secrets(self) -> list[str]:
        """Return the secrets, the one that signs first; a random one if none is set."""
        found = [each for each in self.secret.get_secret_value().split(",") if each]
        return found or [secrets.token_urlsafe(SECRET_MIN_CHARS)]
