"""Settings of this package: broker and topics, gateway, webhooks, first project, admin key."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, FilePath, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.broker_addresses import broker_addresses
from producers.control.own_endpoints import own_endpoints
from producers.kafka.topics import Topics

KIB: Final = 1024
MIB: Final = 1024 * KIB
ADMIN_KEY_MIN_CHARS: Final = 32


class KafkaSettings(BaseSettings):
    """The broker and the layout of its topics. Every process must use the same values."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", frozen=True)

    broker: Annotated[str, AfterValidator(broker_addresses)] = "127.0.0.1:9092"
    """HOST:PORT, or several joined by commas."""
    broker_username: str = ""
    """User for authenticating to the broker; empty: no authentication."""
    broker_password: SecretStr = SecretStr("")
    """Password of that user."""
    broker_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """SASL mechanism for user and password."""
    broker_ssl_cafile: FilePath | None = None
    """CA certificates (PEM) for the broker's certificate; empty: those of the system."""
    broker_ssl_certfile: FilePath | None = None
    """Client certificate (PEM) of this process."""
    broker_ssl_keyfile: FilePath | None = Field(None, validate_default=True)
    """Private key (PEM) of the client certificate, if it is in a separate file."""
    broker_security_protocol: Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        Field("auto", validate_default=True)
    )
    """Security protocol of Kafka; auto: with SASL if a user is set, with SSL if a certificate file
    is set."""
    topic_prefix: str = Field("tracemill", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Prefix of topics and consumer groups, so that installations can share a broker."""
    event_partitions: int = Field(4, ge=1, le=256)
    """Partitions of events, observations, traces and scores: the parallelism by trace."""
    project_partitions: int = Field(2, ge=1, le=256)
    """Partitions of deltas, windows and spend: the parallelism by project."""
    replication_factor: int = Field(1, ge=1, le=8)
    """Replicas of each partition; 3 is usual with three or more brokers."""
    topic_retention_h: int = Field(72, ge=1)
    """Retention of topics that are not compacted."""
    record_max_bytes: int = Field(16 * MIB, ge=1 * MIB, le=256 * MIB)
    """Largest record batch that topics accept."""
    broker_wait_s: float = Field(30.0, gt=0)
    """Time that a starting process waits for the broker and its topics."""
    request_timeout_s: float = Field(10.0, gt=0)
    """Timeout of one request to the broker."""
    control_record_max_bytes: int = Field(256 * KIB, ge=1 * KIB)
    """Largest control record: a project, key, price, budget or webhook."""
    control_records_max: int = Field(100_000, ge=1)
    """Control records of the installation."""
    control_write_attempts_max: int = Field(10, ge=1)
    """Attempts of a write while other processes write as well; after them: 503."""
    control_write_timeout_s: float = Field(10.0, gt=0)
    """Time from writing a control record until it was read back; after it: 503."""
    control_transaction_timeout_s: float = Field(2.0, ge=0.5, le=60)
    """Time after which the broker aborts a change of control records whose writer was killed.

    Until it does so, nothing that was written later can be read. The broker looks for such changes
    every 0.5 s if it is the embedded one, every 10 s by default
    (``transaction.abort.timed.out.transaction.cleanup.interval.ms``)."""

    clock_skew_max_s: float = Field(60.0, gt=0)
    """Largest difference between this machine's clock and the broker's; above it: not ready."""

    @property
    def topics(self) -> Topics:
        return Topics(self.topic_prefix)

    @property
    def security_protocol(self) -> str:
        """``broker_security_protocol`` with ``auto`` resolved."""
        if self.broker_security_protocol != "auto":
            return self.broker_security_protocol
        transport = "SSL" if self.broker_ssl_cafile or self.broker_ssl_certfile else "PLAINTEXT"
        if not self.broker_username:
            return transport
        return f"SASL_{transport}"

    @field_validator(
        "broker_ssl_cafile", "broker_ssl_certfile", "broker_ssl_keyfile", mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("broker_ssl_cafile")
    @classmethod
    def _holds_certificates(cls, cafile: Path | None) -> Path | None:
        if cafile is not None:
            try:
                ssl.create_default_context(cafile=cafile)
            except OSError as error:
                raise ValueError(f"the file holds no certificates ({error})") from error
        return cafile

    @field_validator("broker_ssl_keyfile")
    @classmethod
    def _fits_the_certificate(cls, keyfile: Path | None, info: ValidationInfo) -> Path | None:
        certfile = info.data.get("broker_ssl_certfile")
        if certfile is None and keyfile is not None:
            raise ValueError("set TRACEMILL_BROKER_SSL_CERTFILE as well")
        if certfile is not None:
            try:
                ssl.create_default_context().load_cert_chain(certfile, keyfile, password="")
            except OSError as error:
                raise ValueError(
                    f"not the key of TRACEMILL_BROKER_SSL_CERTFILE ({error})"
                ) from error
        return keyfile

    @field_validator("broker_security_protocol")
    @classmethod
    def _fits_the_user(cls, protocol: str, info: ValidationInfo) -> str:
        has_user = bool(info.data.get("broker_username"))
        if protocol.startswith("SASL_") and not has_user:
            raise ValueError("SASL needs TRACEMILL_BROKER_USERNAME")
        if protocol in {"PLAINTEXT", "SSL"} and has_user:
            raise ValueError("with TRACEMILL_BROKER_USERNAME: auto, SASL_PLAINTEXT or SASL_SSL")
        return protocol


class GatewaySettings(BaseSettings):
    """Limits of the gateway: the size of requests, and how much may be pending."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_GATEWAY_", frozen=True)

    otlp_body_max_bytes: int = Field(16 * MIB, ge=1 * KIB)
    """Largest OTLP body before decompression; above it: 413."""
    ingestion_body_max_bytes: int = Field(4_500_000, ge=1 * KIB)
    """Largest body of the ingestion API before decompression; above it: 413."""
    scores_body_max_bytes: int = Field(1_000_000, ge=1 * KIB)
    """Largest body of scores before decompression; above it: 413."""
    decompressed_max_bytes: int = Field(64 * MIB, ge=1 * KIB)
    """Largest body after decompression; above it: 413."""
    public_key_body_max_bytes: int = Field(4 * MIB, ge=1 * KIB)
    """The same for requests with only a public key, which is sufficient for scores."""
    gzip_members_max: int = Field(64, ge=1, le=1_000)
    """Gzip members of one body; clients send one."""
    body_timeout_s: float = Field(30.0, gt=0)
    """Time from the head of a request to the end of its body; after it: 408."""
    in_flight_max_bytes: int = Field(192 * MIB, ge=1 * KIB)
    """Bytes of the decompressed bodies of all requests in progress; above it: 503. A project may
    hold no more than is left free, so that one project alone leaves half to the others."""
    large_body_bytes: int = Field(128 * KIB, ge=1 * KIB)
    """A larger body, or one of undeclared length, waits for a free slot before it is read."""
    large_bodies_max: int = Field(6, ge=1)
    """Slots: large bodies that are read, decoded and delivered at once."""
    large_bodies_of_project_max: int = Field(4, ge=1)
    """Slots of one project, so that a project that sends slowly leaves slots to others."""
    large_bodies_waiting_max: int = Field(256, ge=0)
    """Requests that wait for a slot; above it: 503."""
    turn_timeout_s: float = Field(2.0, gt=0)
    """Time that a request waits for a slot; after it: 503, before the body is read."""
    event_max_bytes: int = Field(8 * MIB, ge=1 * KIB)
    """Largest event as a line of JSON; a larger one is refused. Limited by ``record_max_bytes``."""
    dead_letter_max_bytes: int = Field(12 * MIB, ge=16 * KIB)
    """Largest dead letter as a line of JSON; the payload is truncated to fit. Limited by
    ``record_max_bytes``."""
    spans_max: int = Field(100_000, ge=1)
    """Spans of one export; above it: 413."""
    groups_max: int = Field(10_000, ge=1)
    """Resources and scopes of one export, together; above it: 413."""
    values_max: int = Field(1_000_000, ge=1)
    """Attributes of one export, with the values in their arrays and key-value lists; above it:
    413."""
    json_values_max: int = Field(1_000_000, ge=1)
    """Values of one JSON body, counted before it is decoded; above it: 413."""
    inline_max_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """A larger body is decoded in a thread, one of each project at a time."""
    inline_values_max: int = Field(20_000, ge=100)
    """A body with more attributes and values is decoded in a thread, whatever its size."""
    decoding_threads_max: int = Field(2, ge=1, le=64)
    """Threads that decode bodies."""
    body_rate_min_bytes_per_s: int = Field(256 * KIB, ge=1)
    """A large body that arrives slower is refused (503) if another request waits for a slot."""
    batch_events_max: int = Field(10_000, ge=1)
    """Events of one ingestion batch, or scores of one list; above it: 413."""
    batch_max_bytes: int = Field(128 * MIB, ge=1 * KIB)
    """Bytes of the events of one request as lines of JSON; above it: 413. The attributes of a
    resource are repeated in each of its spans."""
    pending_max_bytes: int = Field(128 * MIB, ge=1 * KIB)
    """Bytes that wait for the broker's acknowledgement; above it: 503. Shared between projects like
    ``in_flight_max_bytes``."""
    record_target_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Size at which a micro-batch is complete; only a single larger event makes a larger record."""
    linger_ms: float = Field(5.0, ge=0, le=1000)
    """Shortest time between two records of a partition: an idle partition sends at once, a busy one
    collects lines."""
    gather_max_ms: float = Field(20.0, ge=0, le=1000)
    """Longest time that lines of a partition are collected while requests wait to be decoded."""
    delivery_timeout_s: float = Field(2.0, gt=0)
    """Time until the broker has acknowledged all events of a body; after it: 503. Exporters stop
    waiting 5 s after they sent the request."""
    retry_after_s: int = Field(1, ge=1)
    """Value of ``Retry-After`` in 503 answers."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Time that stopping waits for pending events."""


class LimitsSettings(BaseSettings):
    """How much each project may send, unless it has limits of its own.

    A request that exceeds a limit has no effect and is answered 429 with ``Retry-After``
    (RESOURCE_EXHAUSTED with RetryInfo over gRPC). Bytes are those of bodies after decompression.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_LIMITS_", frozen=True)

    events_per_s: float = Field(0.0, ge=0)
    """Spans, events and scores of a project per second; 0: no limit."""
    bytes_per_s: float = Field(0.0, ge=0)
    """Bytes of a project's bodies per second; 0: no limit."""
    burst_s: float = Field(10.0, gt=0, le=86_400)
    """Seconds of a rate that may be sent at once after a pause. A larger request is taken after a
    pause as long, and what it exceeds delays those that follow."""
    quota_period: Literal["day", "month"] = "month"
    """The period of quotas, in UTC."""
    quota_events: int = Field(0, ge=0)
    """Events of a project per period; 0: no limit."""
    quota_bytes: int = Field(0, ge=0)
    """Bytes of a project's bodies per period; 0: no limit."""
    usage_interval_s: float = Field(1.0, ge=0.05, le=60)
    """How often a gateway writes what it has counted for quotas. A crash loses the count of this
    time, and gateways do not know of each other's."""
    gateways: int = Field(1, ge=1, le=10_000)
    """Gateway processes that share a project's requests: each allows this part of its rates."""


class OtlpGrpcSettings(BaseSettings):
    """OTLP over gRPC: the port, and limits of connections and calls; others as for HTTP."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_OTLP_GRPC_", frozen=True)

    port: int = Field(4317, ge=0, le=65535)
    """Port of OTLP over gRPC, on the host of the public API; 0: disabled."""
    connections_max: int = Field(2_048, ge=1)
    """Open connections; further ones are closed at once."""
    streams_of_connection_max: int = Field(100, ge=1)
    """Concurrent calls of one connection; its client delays further calls."""
    metadata_max_bytes: int = Field(16 * KIB, ge=1 * KIB, le=1 * MIB)
    """Metadata of one call; above it: RESOURCE_EXHAUSTED."""
    idle_max_s: float = Field(300.0, gt=0)
    """Time after which a connection without calls is closed; clients connect again."""
    age_max_s: float = Field(3_600.0, gt=0)
    """Age from which a connection accepts no more calls; clients connect again."""
    handshake_timeout_s: float = Field(30.0, gt=0)
    """Time for setting up a connection; after it: closed."""
    ping_interval_min_s: float = Field(5.0, gt=0)
    """Shortest interval of keepalive pings of clients, also without calls; connections with more
    frequent pings are closed."""
    keepalive_s: float = Field(120.0, gt=0)
    """Time after which an idle connection is pinged; it is closed without an answer in 20 s."""
    unstarted_calls_max: int = Field(1_000, ge=1)
    """Calls that arrived but are not processed yet; above it: RESOURCE_EXHAUSTED."""
    reading_max: int = Field(12, ge=1)
    """Calls whose messages are received at once, since gRPC does not declare their lengths."""
    reading_of_project_max: int = Field(4, ge=1)
    """The same for one project."""
    reading_waiting_max: int = Field(256, ge=0)
    """Calls that wait to be received; above it: UNAVAILABLE."""
    reading_wait_timeout_s: float = Field(2.0, gt=0)
    """Time that a call waits to be received; after it: UNAVAILABLE. A call that has been received
    for over a second may be refused in favor of waiting ones."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Time that stopping waits for calls to end."""


class WebhookSettings(BaseSettings):
    """Addresses that webhooks may reach; the API and the worker must use the same values."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_WEBHOOKS_", frozen=True)

    allow_private: bool = False
    """Allow webhooks to private, loopback and other addresses that are not public."""
    forbidden_ports: str = ""
    """Ports that webhooks may not reach, joined by commas: a port of this machine, or HOST:PORT.
    The role's own ports, the broker and the store are always included."""

    @field_validator("forbidden_ports")
    @classmethod
    def _parses(cls, texts: str) -> str:
        own_endpoints(texts)
        return texts


class KeySettings(BaseSettings):
    """How the last use of API keys is recorded."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_KEYS_", frozen=True)

    last_use_interval_s: float = Field(3_600.0, ge=60)
    """The last use of a key is written at most once in this time."""
    last_use_write_interval_s: float = Field(60.0, gt=0)
    """Interval of writing the last uses of all keys."""
    last_use_writes_max: int = Field(100, ge=1)
    """Keys whose last use is written at once; those of others are written in the next interval."""


class AdminSettings(BaseSettings):
    """The installation's admin key, which manages projects and keys but reads no project's data."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_ADMIN_", frozen=True)

    secret_key: SecretStr = SecretStr("")
    """Sent as ``Bearer SECRET``, or in Basic authentication as the password of ``admin``; 32
    characters at least, of printable ASCII. Empty: there is no admin key; `tracemill up` generates
    one."""

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) < ADMIN_KEY_MIN_CHARS or not text.isascii() or " " in text):
            raise ValueError(f"at least {ADMIN_KEY_MIN_CHARS} characters of ASCII, without spaces")
        return key


class InitSettings(BaseSettings):
    """The first project and its key, created when the control plane has neither.

    After that only settings that are set explicitly have an effect.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_INIT_", frozen=True)

    project_id: str = Field("default", min_length=1)
    """Id of the project."""
    public_key: str = Field("pk-tm-dev", min_length=1)
    """Public key, as Langfuse SDKs call it."""
    secret_key: SecretStr = Field(SecretStr("sk-tm-dev"), min_length=1)
    """Secret key; only a hash of it is stored."""
