"""Settings of every process: addresses, directories, logs, liveness and HTTP limits."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.directories import Directory, default_data_dir

ENCRYPTION_KEY_MIN_CHARS: Final = 16


class ProcessSettings(BaseSettings):
    """Addresses, directories, logs and liveness of a process."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", env_ignore_empty=True, frozen=True)

    data_dir: Directory = Field(default_factory=default_data_dir)
    """Directory of the embedded engines' files and of all logs."""
    host: str = "127.0.0.1"
    """Address on which the public API listens."""
    port: int = Field(7700, ge=1, le=65535)
    """Port of the public API."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of ``/metrics``, ``/healthz`` and ``/readyz`` of streams and sink; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics port."""
    prepared_within_s: float = Field(60.0, gt=0)
    """How long a starting role waits for its engines and for `tracemill migrate`."""
    encryption_key: SecretStr = Field(SecretStr(""))
    """Key that encrypts webhook secrets in the store's copy of the control plane, at least 16
    characters; by default the key in the data directory."""
    stalled_after_s: float = Field(30.0, ge=1)
    """A stage is stalled if it has input, waits for no dependency, and makes no progress for this
    time. Then `/healthz` answers 503, and `tracemill up` restarts the process. It also restarts a
    role that does not answer for this time."""
    engine_silent_after_s: float = Field(120.0, ge=1)
    """`tracemill up` restarts an embedded broker or store that does not answer for this time."""
    loop_blocked_after_s: float = Field(5.0, gt=0)
    """If the event loop is blocked for this time, its traceback is logged."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""

    @field_validator("encryption_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < ENCRYPTION_KEY_MIN_CHARS:
            message = f"at least {ENCRYPTION_KEY_MIN_CHARS} characters"
            raise ValueError(message)
        return key


class HttpSettings(BaseSettings):
    """Limits of connections and of requests before they are authenticated."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_HTTP_", frozen=True)

    connections_max: int = Field(2_048, ge=1)
    """Open connections. At the limit, a new one replaces the longest idle one, unauthenticated ones
    first; if none is idle, the new one is answered 503."""
    connections_of_address_max: int = Field(512, ge=1)
    """Unauthenticated connections of one address."""
    shared_addresses: str = "127.0.0.0/8,::1"
    """Networks without a limit per address, separated by commas; for example those of a load
    balancer, whose addresses each serve many clients."""
    head_max_bytes: int = Field(64 * 1024, ge=1024)
    """Size of the request line and the headers; above it, the answer is 431."""
    headers_max: int = Field(128, ge=1)
    """Number of headers of a request; above it, the answer is 431."""
    head_timeout_s: float = Field(30.0, gt=0)
    """Time from the connection, or from the first byte of a request, to the end of its headers;
    then the connection is closed."""
    keep_alive_s: int = Field(75, ge=1)
    """How long a connection stays open between two requests."""

    @field_validator("shared_addresses")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in filter(None, (part.strip() for part in text.split(","))):
            ip_network(part, strict=False)
        return text
