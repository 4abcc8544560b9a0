"""Settings of a process as such: where it listens, where it keeps its files, how it logs."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.directories import Directory, default_data_dir

ENCRYPTION_KEY_MIN_CHARS: Final = 16


class ProcessSettings(BaseSettings):
    """What every process has, whatever its role."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", env_ignore_empty=True, frozen=True)

    data_dir: Directory = Field(default_factory=default_data_dir)
    """Files of the embedded engines and their logs."""
    host: str = "127.0.0.1"
    """Where the public API listens."""
    port: int = Field(7700, ge=1, le=65535)
    """Its port."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Loopback port of ``/metrics``, ``/healthz`` and ``/readyz`` of workers; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics port."""
    prepared_within_s: float = Field(60.0, gt=0)
    """How long a starting role waits for its engines and for `tracemill migrate`."""
    encryption_key: SecretStr = Field(SecretStr(""))
    """Encrypts webhook secrets in the store's copy of the control plane, 16 characters at least; by
    default the key in the data directory."""
    stalled_after_s: float = Field(30.0, ge=1)
    """A stage is stalled when it has input and makes no progress for this time while it waits for
    no
    dependency: `/healthz` is 503, and `tracemill up` restarts the process. It also restarts a role
    that gives no answer for this time."""
    engine_silent_after_s: float = Field(120.0, ge=1)
    """An embedded broker or store that gives no answer for this time is restarted by `tracemill
    up`."""
    loop_blocked_after_s: float = Field(5.0, gt=0)
    """The traceback of an event loop that does not run for this time is written to the log."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Less than this is not logged."""

    @field_validator("encryption_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < ENCRYPTION_KEY_MIN_CHARS:
            message = f"at least {ENCRYPTION_KEY_MIN_CHARS} characters"
            raise ValueError(message)
        return key


class HttpSettings(BaseSettings):
    """What a connection may hold and for how long, whoever is at its other end."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_HTTP_", frozen=True)

    connections_max: int = Field(2_048, ge=1)
    """Open connections. One more replaces the longest idle one, unauthenticated ones first; if none
    is idle, it is answered 503."""
    connections_of_address_max: int = Field(512, ge=1)
    """Unauthenticated connections of one address."""
    shared_addresses: str = "127.0.0.0/8,::1"
    """Networks, joined by commas, whose addresses each serve many clients, such as a load
    balancer's: they have no limit per address."""
    head_max_bytes: int = Field(64 * 1024, ge=1024)
    """Request line and headers; above it: 431."""
    headers_max: int = Field(128, ge=1)
    """Headers of one request; above it: 431."""
    head_timeout_s: float = Field(30.0, gt=0)
    """From connecting, or from the first byte of a request, to the end of its headers; after it: closed."""
    keep_alive_s: int = Field(75, ge=1)
    """How long a connection stays open between two requests."""

    @field_validator("shared_addresses")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in filter(None, (part.strip() for part in text.split(","))):
            ip_network(part, strict=False)
        return text
