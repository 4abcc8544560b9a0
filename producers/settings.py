"""Settings of this package: the broker and its topics, the gateway, the first project."""

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
    """Where the log is and how its topics are laid out. Every process uses the same values."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_", frozen=True)

    broker: Annotated[str, AfterValidator(broker_addresses)] = "127.0.0.1:9092"
    """HOST:PORT, or several joined by commas."""
    broker_username: str = ""
    """Authenticate to the broker as this user; empty: do not authenticate."""
    broker_password: SecretStr = SecretStr("")
    """Password of that user."""
    broker_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How user and password are sent to the broker."""
    broker_ssl_cafile: FilePath | None = None
    """Certificates (PEM) that sign the broker's; empty: those of the system."""
    broker_ssl_certfile: FilePath | None = None
    """Certificate (PEM) that this process shows to the broker."""
    broker_ssl_keyfile: FilePath | None = Field(None, validate_default=True)
    """Private key (PEM) of that certificate, where it is in a file of its own."""
    broker_security_protocol: Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        Field("auto", validate_default=True)
    )
    """Kafka's name of the protocol; auto: with SASL if there is a user, with SSL if there is a
    file."""
    topic_prefix: str = Field("tracemill", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Of the names of topics and groups: installations with different ones can share a broker."""
    event_partitions: int = Field(4, ge=1, le=256)
    """Of events, observations, traces and scores: the parallelism by trace."""
    project_partitions: int = Field(2, ge=1, le=256)
    """Of deltas, windows and spend: the parallelism by project."""
    replication_factor: int = Field(1, ge=1, le=8)
    """Copies of each topic: 3 where there are three brokers."""
    topic_retention_h: int = Field(72, ge=1)
    """How long topics that are not compacted keep their records."""
    record_max_bytes: int = Field(16 * MIB, ge=1 * MIB, le=256 * MIB)
    """The largest record batch a topic takes."""
    broker_wait_s: float = Field(30.0, gt=0)
    """How long a starting process waits for the broker and its topics."""
    request_timeout_s: float = Field(10.0, gt=0)
    """One request to the broker."""
    control_record_max_bytes: int = Field(256 * KIB, ge=1 * KIB)
    """One project, key, price, budget or webhook."""
    control_records_max: int = Field(100_000, ge=1)
    """All of them together."""
    control_write_attempts_max: int = Field(10, ge=1)
    """How often a write is tried while other processes write as well; after that: 503."""
    control_write_timeout_s: float = Field(10.0, gt=0)
    """From writing a control record until it was read back."""

    clock_skew_max_s: float = Field(60.0, gt=0)
    """Largest difference of this machine's clock and the broker's; above it: not ready."""

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
                raise ValueError(f"it holds no certificates ({error})") from error
        return cafile

    @field_validator("broker_ssl_keyfile")
    @classmethod
    def _fits_the_certificate(cls, keyfile: Path | None, info: ValidationInfo) -> Path | None:
        certfile = info.data.get("broker_ssl_certfile")
        if certfile is None and keyfile is not None:
            raise ValueError("it needs TRACEMILL_BROKER_SSL_CERTFILE")
        if certfile is not None:
            try:
                ssl.create_default_context().load_cert_chain(certfile, keyfile, password="")
            except OSError as error:
                raise ValueError(
                    f"it is not the key of TRACEMILL_BROKER_SSL_CERTFILE ({error})"
                ) from error
        return keyfile

    @field_validator("broker_security_protocol")
    @classmethod
    def _fits_the_user(cls, protocol: str, info: ValidationInfo) -> str:
        has_user = bool(info.data.get("broker_username"))
        if protocol.startswith("SASL_") and not has_user:
            raise ValueError("SASL needs TRACEMILL_BROKER_USERNAME")
        if protocol in {"PLAINTEXT", "SSL"} and has_user:
            raise ValueError("with TRACEMILL_BROKER_USERNAME it is auto or one with SASL")
        return protocol


class GatewaySettings(BaseSettings):
    """Limits of the gateway: what one request may be, and how much may be pending."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_GATEWAY_", frozen=True)

    otlp_body_max_bytes: int = Field(16 * MIB, ge=1 * KIB)
    """An OTLP body as it comes over the wire."""
    ingestion_body_max_bytes: int = Field(4_500_000, ge=1 * KIB)
    """A batch of the ingestion API, before gunzip."""
    scores_body_max_bytes: int = Field(1_000_000, ge=1 * KIB)
    """A body of scores, before gunzip."""
    decompressed_max_bytes: int = Field(64 * MIB, ge=1 * KIB)
    """Any body after gunzip."""
    public_key_body_max_bytes: int = Field(4 * MIB, ge=1 * KIB)
    """The same where only a public key was shown, which is enough for scores."""
    gzip_members_max: int = Field(64, ge=1, le=1_000)
    """Gzip members that make up one body; one is what clients send."""
    body_timeout_s: float = Field(30.0, gt=0)
    """From a request's head to the end of its body; after it: 408."""
    in_flight_max_bytes: int = Field(192 * MIB, ge=1 * KIB)
    """Decompressed bodies of all requests being answered; above it: 503. A project that holds some
    may hold no more than is still free, so that one project leaves half to the others."""
    large_body_bytes: int = Field(128 * KIB, ge=1 * KIB)
    """A larger body, or one of undeclared length, waits for a free place before it is read."""
    large_bodies_max: int = Field(6, ge=1)
    """Such requests being read, decoded and delivered at once."""
    large_bodies_of_project_max: int = Field(4, ge=1)
    """The same of one project, so that one that sends slowly leaves places to others."""
    large_bodies_waiting_max: int = Field(256, ge=0)
    """Such requests that wait for a place; above it: 503."""
    turn_timeout_s: float = Field(2.0, gt=0)
    """How long they wait; after it: 503, with nothing of the body read."""
    event_max_bytes: int = Field(8 * MIB, ge=1 * KIB)
    """One event as a line of JSON; never more than ``KafkaSettings.record_max_bytes`` allows."""
    dead_letter_max_bytes: int = Field(12 * MIB, ge=16 * KIB)
    """One dead letter as a line of JSON; its payload is cut to fit. Never more than
    ``KafkaSettings.record_max_bytes`` allows."""
    spans_max: int = Field(100_000, ge=1)
    """Spans of one export."""
    groups_max: int = Field(10_000, ge=1)
    """Resources and scopes of one export, together; above it: 413."""
    values_max: int = Field(1_000_000, ge=1)
    """Attributes of one export and the values in their arrays and key-value lists, together; above
    it: 413."""
    json_values_max: int = Field(1_000_000, ge=1)
    """Values of one JSON body, counted before it is decoded; above it: 413."""
    inline_max_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """A larger body is decoded in a thread; the bodies of one project one at a time."""
    inline_values_max: int = Field(20_000, ge=100)
    """A body of more attributes and values is decoded in a thread, however small it is."""
    decoding_threads_max: int = Field(2, ge=1, le=64)
    """Threads that decode bodies."""
    body_rate_min_bytes_per_s: int = Field(256 * KIB, ge=1)
    """A large body that arrives slower is refused (503) when another one waits for its place."""
    batch_events_max: int = Field(10_000, ge=1)
    """Events of one ingestion batch or one list of scores."""
    batch_max_bytes: int = Field(128 * MIB, ge=1 * KIB)
    """One request's events as lines of JSON; above it: 413. A large resource is repeated with each
    of its spans."""
    pending_max_bytes: int = Field(128 * MIB, ge=1 * KIB)
    """Bytes waiting for the broker's acknowledgement; above it: 503. Shared between projects like
    ``in_flight_max_bytes``."""
    record_target_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Where a micro-batch is cut; only a single larger event makes a larger record."""
    linger_ms: float = Field(5.0, ge=0, le=1000)
    """Shortest time between two records of one partition: an idle partition sends at once, a busy
    one collects lines."""
    gather_max_ms: float = Field(20.0, ge=0, le=1000)
    """While requests wait to be decoded, a partition's lines gather for at most this time."""
    delivery_timeout_s: float = Field(2.0, gt=0)
    """From accepting a body until the broker acknowledged all of it; after it: 503. Exporters give
    up after 5 s in all, and would not see a later answer."""
    retry_after_s: int = Field(1, ge=1)
    """What a 503 asks the client to wait."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """How long stopping waits for what is pending."""


class LimitsSettings(BaseSettings):
    """How much each project may send, unless it has limits of its own.

    What exceeds a limit is answered 429 with ``Retry-After`` (RESOURCE_EXHAUSTED with RetryInfo
    over gRPC), and nothing of it is taken. Bytes are those of bodies after decompression.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_LIMITS_", frozen=True)

    events_per_s: float = Field(0.0, ge=0)
    """Spans, events and scores of a project per second; 0: no limit."""
    bytes_per_s: float = Field(0.0, ge=0)
    """Bytes of a project's bodies per second; 0: no limit."""
    burst_s: float = Field(10.0, gt=0, le=86_400)
    """Seconds of a rate that may be sent at once after a pause. A larger request is taken after a
    pause as long, and what it exceeds delays those that follow."""
    gateways: int = Field(1, ge=1, le=10_000)
    """Gateway processes that share a project's requests: each allows this part of its rates."""


class OtlpGrpcSettings(BaseSettings):
    """OTLP over gRPC: its port and the limits of connections and calls; bodies as for HTTP."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_OTLP_GRPC_", frozen=True)

    port: int = Field(4317, ge=0, le=65535)
    """Port of OTLP over gRPC, on the host of the public API; 0: none."""
    connections_max: int = Field(2_048, ge=1)
    """Open connections; more are closed at once."""
    streams_of_connection_max: int = Field(100, ge=1)
    """Calls of one connection at the same time; its client keeps further calls back."""
    metadata_max_bytes: int = Field(16 * KIB, ge=1 * KIB, le=1 * MIB)
    """Metadata of one call; above it: RESOURCE_EXHAUSTED."""
    idle_max_s: float = Field(300.0, gt=0)
    """A connection without calls is closed after this time; clients open another one."""
    age_max_s: float = Field(3_600.0, gt=0)
    """A connection takes no more calls after this time; clients open another one."""
    handshake_timeout_s: float = Field(30.0, gt=0)
    """From connecting until the connection is set up; after it: closed."""
    ping_interval_min_s: float = Field(5.0, gt=0)
    """Clients may send keepalive pings this often, also without calls; connections of others are
    closed."""
    keepalive_s: float = Field(120.0, gt=0)
    """A connection that sent nothing for this time is pinged, and closed if it does not answer
    within 20 s."""
    unstarted_calls_max: int = Field(1_000, ge=1)
    """Calls that arrived and are not looked at yet, because the process is busy; above it:
    RESOURCE_EXHAUSTED."""
    reading_max: int = Field(12, ge=1)
    """Calls whose message is being received at once: gRPC does not declare its length."""
    reading_of_project_max: int = Field(4, ge=1)
    """The same of one project."""
    reading_waiting_max: int = Field(256, ge=0)
    """Calls that wait until they are received; above it: UNAVAILABLE."""
    reading_wait_timeout_s: float = Field(2.0, gt=0)
    """How long they wait; after it: UNAVAILABLE. A call that is received for over a second may
    lose its place to those that wait."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """How long stopping waits for calls to end."""


class WebhookSettings(BaseSettings):
    """Where webhooks may go; the same for the API and the notifier."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_WEBHOOKS_", frozen=True)

    allow_private: bool = False
    """Private, loopback and other addresses that are not of the public internet."""
    forbidden_ports: str = ""
    """Ports that no webhook may reach, joined by commas: a port of this machine, or HOST:PORT. The
    role's own ports, the broker and the store are always among them."""

    @field_validator("forbidden_ports")
    @classmethod
    def _parses(cls, texts: str) -> str:
        own_endpoints(texts)
        return texts


class AdminSettings(BaseSettings):
    """The installation's admin key, which makes projects and keys and reads no project's data."""

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

    Later only what is set explicitly counts.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_INIT_", frozen=True)

    project_id: str = Field("default", min_length=1)
    """The project."""
    public_key: str = Field("pk-tm-dev", min_length=1)
    """Its key: what Langfuse SDKs call the public key."""
    secret_key: SecretStr = Field(SecretStr("sk-tm-dev"), min_length=1)
    """Its secret; only a hash is kept."""
