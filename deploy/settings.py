"""Define the settings of every process: addresses, directories, logs, liveness, HTTP limits."""

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
    """Directory of the embedded engines' data, and of the logs and keys of ``tracemill up``."""
    host: str = "127.0.0.1"
    """Address on which the public API listens."""
    port: int = Field(7700, ge=1, le=65535)
    """Port of the public API."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of ``/metrics``, ``/healthz`` and ``/readyz`` of ``streams`` and ``sink``; 0: none."""
    metrics_host: str = "127.0.0.1"
    """Address on which the metrics port listens."""
    prepared_within_s: float = Field(60.0, gt=0)
    """Time for which a starting role waits for its engines and for ``tracemill migrate``. After
    it, the role exits."""
    encryption_key: SecretStr = Field(SecretStr(""))
    """Key that encrypts webhook secrets in the store's copy of the control plane, of at least 16
    characters. Empty: the key in the data directory, if there is one."""
    stalled_after_s: float = Field(30.0, ge=1)
    """A stage is stalled if it has input, waits for no dependency, and makes no progress for this
    time. Then ``/healthz`` answers 503, and ``tracemill up`` restarts the process. It also restarts
    a role that does not respond for this time."""
    engine_silent_after_s: float = Field(120.0, ge=1)
    """Time after which ``tracemill up`` restarts an embedded broker or store that does not
    respond."""
    loop_blocked_after_s: float = Field(5.0, gt=0)
    """Time after which the traceback of a blocked event loop is logged."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level of messages that are logged."""

    @field_validator("encryption_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < ENCRYPTION_KEY_MIN_CHARS:
            message = f"it must have at least {ENCRYPTION_KEY_MIN_CHARS} characters"
            raise ValueError(message)
        return key


class HttpSettings(BaseSettings):
    """Limits of connections, and of requests before they are authenticated."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_HTTP_", frozen=True)

    connections_max: int = Field(2_048, ge=1)
    """Open connections. At the limit, a new connection replaces an idle one: the one that has been
    idle longest, unauthenticated ones first. If none is idle, the new one is answered 503."""
    connections_of_address_max: int = Field(512, ge=1)
    """Unauthenticated connections of one address. At the limit, a new connection replaces the one
    that has been idle longest, or is answered 503."""
    shared_addresses: str = "127.0.0.0/8,::1"
    """Networks without a limit per address, separated by commas. Add your load balancer here,
    because each of its addresses serves many clients."""
    head_max_bytes: int = Field(64 * 1024, ge=1024)
    """Maximum size of the request line and the headers. Above it, requests are answered 431."""
    headers_max: int = Field(128, ge=1)
    """Maximum headers of a request. Above it, requests are answered 431."""
    head_timeout_s: float = Field(30.0, gt=0)
    """Time limit from the start of a connection, or of a request, to the end of the headers. At
    the limit, the connection is closed."""
    keep_alive_s: int = Field(75, ge=1)
    """Time for which a connection is kept open between two requests."""

    @field_validator("shared_addresses")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in filter(None, (part.strip() for part in text.split(","))):
            ip_network(part, strict=False)
        return text
