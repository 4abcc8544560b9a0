"""How events are gathered, bounded and sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

Compression = Literal["lz4", "zstd", "gzip", "none"]

EVENT_OVERHEAD_BYTES: Final = 1_000
"""What an event is taken to occupy besides its texts."""

EVENT_LINE_MAX_BYTES: Final = 900_000
"""A longer event loses its texts: a broker takes records up to 1 MiB unless told otherwise."""


def _from_environment(name: str, default: str = "") -> Callable[[], str]:
    return lambda: os.environ.get(name) or default


@dataclass(frozen=True, slots=True)
class Options:
    """Limits and habits of one tracer."""

    broker: str = "127.0.0.1:9092"
    """Bootstrap servers, ``HOST:PORT`` with commas between them."""
    username: str = field(default_factory=_from_environment("TRACEMILL_BROKER_USERNAME"))
    """Authenticates to the broker with SASL; empty: do not authenticate."""
    password: str = field(
        default_factory=_from_environment("TRACEMILL_BROKER_PASSWORD"), repr=False
    )
    """Password of that user."""
    sasl_mechanism: str = field(
        default_factory=_from_environment("TRACEMILL_BROKER_SASL_MECHANISM", "PLAIN")
    )
    """``PLAIN``, ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``."""
    topic: str = "tracemill.events"
    compression: Compression = "zstd"
    """aiokafka compresses lz4 at its slowest level: zstd takes a fifth of the time and less space."""
    buffer_max_bytes: int = 64 * 1024 * 1024
    """Events waiting or on their way take at most this; further ones are dropped and counted."""
    text_max_chars: int = 200_000
    """Longer inputs, outputs and metadata are cut."""
    linger_s: float = 0.02
    """How long events are gathered before they are sent."""
    record_max_events: int = 128
    record_max_bytes: int = 128 * 1024
    """A Kafka record of a partition is closed when it reaches either; one larger event is a record of its own."""
    reconnect_max_s: float = 5.0
    """Pauses between attempts to connect grow to this."""
    exit_timeout_s: float = 5.0
    """How long the end of the interpreter may be delayed to deliver what is left."""
    log_interval_s: float = 30.0
    """A complaint of one kind is logged at most this often."""
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Further arguments of ``aiokafka.AIOKafkaProducer``; ``ssl_context`` turns on TLS."""

    def __post_init__(self) -> None:
        if self.compression not in get_args(Compression):
            raise ValueError(f"compression is one of {get_args(Compression)}")
        for field_ in fields(self):
            limit = getattr(self, field_.name)
            if field_.type in ("int", "float") and not limit > 0:
                raise ValueError(f"{field_.name} is above 0")

    def client_arguments(self) -> dict[str, Any]:
        """Return address, credentials and ``client`` as arguments of a client of aiokafka."""
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
