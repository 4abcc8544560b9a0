"""Define the tracer's options: limits, batching and the connection to Kafka."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

Compression = Literal["lz4", "zstd", "gzip", "none"]

EVENT_OVERHEAD_BYTES: Final = 1_000
"""Estimated size of an event without its long texts."""

EVENT_LINE_MAX_BYTES: Final = 900_000
"""Maximum size of an encoded event; texts of a larger one are cut.

By default, brokers limit records to 1 MiB.
"""


def _from_environment(name: str, default: str = "") -> Callable[[], str]:
    return lambda: os.environ.get(name) or default


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a tracer.

    Raises:
        ValueError: An option has a value that is not allowed.
    """

    broker: str = "127.0.0.1:9092"
    """Bootstrap servers, ``HOST:PORT`` separated by commas."""
    username: str = field(default_factory=_from_environment("TRACEMILL_BROKER_USERNAME"))
    """SASL user name; if empty, the client does not authenticate.

    The default is the environment variable ``TRACEMILL_BROKER_USERNAME``.
    """
    password: str = field(
        default_factory=_from_environment("TRACEMILL_BROKER_PASSWORD"), repr=False
    )
    """SASL password."""
    sasl_mechanism: str = field(
        default_factory=_from_environment("TRACEMILL_BROKER_SASL_MECHANISM", "PLAIN")
    )
    """SASL mechanism: ``PLAIN``, ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``."""
    topic: str = "tracemill.events"
    """Topic of events: ``events`` after the installation's topic prefix."""
    compression: Compression = "zstd"
    """Compression of records.

    zstd takes a fifth of the time of lz4 and compresses better, because aiokafka uses the slowest
    level of lz4.
    """
    buffer_max_bytes: int = 64 * 1024 * 1024
    """Maximum size of queued events and events in flight; above it, new events are dropped."""
    text_max_chars: int = 200_000
    """Maximum length of each input, output and metadata; longer ones are cut."""
    linger_s: float = 0.02
    """Time for which events are collected into batches before they are sent."""
    record_max_events: int = 128
    """Maximum number of events of a Kafka record."""
    record_max_bytes: int = 128 * 1024
    """Maximum size of a Kafka record with more than one event, before compression."""
    reconnect_max_s: float = 5.0
    """Maximum pause between attempts to connect; each pause is twice as long as the one before."""
    exit_timeout_s: float = 5.0
    """Maximum delay of the interpreter's exit, in which buffered events are delivered."""
    log_interval_s: float = 30.0
    """Minimum time between two log lines about the same kind of problem."""
    api_url: str = field(
        default_factory=_from_environment("TRACEMILL_URL", "http://127.0.0.1:7700")
    )
    """Address of the query API, which ``check_budget`` asks."""
    public_key: str = field(default_factory=_from_environment("TRACEMILL_PUBLIC_KEY"))
    """Public key of the project, for the query API."""
    secret_key: str = field(default_factory=_from_environment("TRACEMILL_SECRET_KEY"), repr=False)
    """Its secret key."""
    budget_fail: Literal["open", "closed"] = "open"
    """Whether ``check_budget`` allows a call (``open``) if the API does not answer."""
    budget_timeout_s: float = 0.5
    """Maximum time that ``check_budget`` waits for the API."""
    budget_cache_s: float | None = None
    """Time for which a decision is used again for the same arguments; by default not at all."""
    budget_cache_max: int = 1_000
    """Maximum number of decisions in the cache; the oldest is removed."""
    budget_connections_max: int = 8
    """Maximum number of connections to the API, each with a thread."""
    budget_requests_max: int = 1_000
    """Maximum number of checks that wait for an answer; further ones fail at once."""
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Additional arguments of ``aiokafka.AIOKafkaProducer``; ``ssl_context`` enables TLS."""

    def __post_init__(self) -> None:
        if self.compression not in get_args(Compression):
            raise ValueError(f"compression must be one of {', '.join(get_args(Compression))}")
        if self.budget_fail not in ("open", "closed"):
            raise ValueError("budget_fail must be open or closed")
        for field_ in fields(self):
            limit = getattr(self, field_.name)
            if field_.type in ("int", "float") and not limit > 0:
                raise ValueError(f"{field_.name} must be above 0")

    def client_arguments(self) -> dict[str, Any]:
        """Return the address, the credentials and ``client`` as arguments of an aiokafka client."""
        transport = "SSL" if self.client.get("ssl_context") else "PLAINTEXT"
        arguments: dict[str, Any] = {"bootstrap_servers": self.broker}
        if self.username:
            arguments |= {
                "security_protocol": f"SASL_{transport}",
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        else:
            arguments["security_protocol"] = transport
        return arguments | dict(self.client)
