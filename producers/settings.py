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
    """Kafka: HOST:PORT, or several separated by commas."""
    broker_username: str = ""
    """User name for authentication to the broker; empty: no authentication."""
    broker_password: SecretStr = SecretStr("")
    """Password for authentication to the broker."""
    broker_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """SASL mechanism of this authentication."""
    broker_ssl_cafile: FilePath | None = None
    """File with the CA certificates (PEM) that verify the broker; empty: those of the system."""
    broker_ssl_certfile: FilePath | None = None
    """File with the client certificate (PEM) of this process."""
    broker_ssl_keyfile: FilePath | None = Field(None, validate_default=True)
    """File with the private key (PEM) of the client certificate, if it is separate."""
    broker_security_protocol: Literal["auto", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        Field("auto", validate_default=True)
    )
    """Security protocol of Kafka. auto: SASL if a user name is set, SSL if a certificate file is
    set."""
    topic_prefix: str = Field("tracemill", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Prefix of topics and consumer groups, so that installations can share a broker."""
    event_partitions: int = Field(4, ge=1, le=256)
    """Partitions of the topics of events, observations, traces and scores, which are partitioned by
    trace."""
    project_partitions: int = Field(2, ge=1, le=256)
    """Partitions of the topics of deltas, windows and spend, which are partitioned by project."""
    replication_factor: int = Field(1, ge=1, le=8)
    """Replicas of each partition. Use 3 if there are three or more brokers."""
    topic_retention_h: int = Field(72, ge=1)
    """Retention of topics that are not compacted."""
    trace_deletions_retention_h: int = Field(720, ge=1)
    """Retention of the topic of deleted traces, which workers read when they start. It must not be
    shorter than ``TRACEMILL_STREAMS_DELETED_TRACE_MEMORY_H``. Existing topics keep theirs."""
    record_max_bytes: int = Field(16 * MIB, ge=1 * MIB, le=256 * MIB)
    """Maximum size of a record batch (``max.message.bytes`` of topics)."""
    broker_wait_s: float = Field(30.0, gt=0)
    """Maximum time that a starting process waits for the broker and its topics."""
    request_timeout_s: float = Field(10.0, gt=0)
    """Timeout of one request to the broker."""
    log_reconnect_max_s: float = Field(5.0, gt=0)
    """Longest pause before a reader of a whole log, such as the control plane's, connects again."""
    log_stall_timeout_s: float = Field(30.0, gt=0)
    """Time without a record, although the log has more; after it the reader connects again, or
    fails if it reads only a part of the log."""
    control_record_max_bytes: int = Field(256 * KIB, ge=1 * KIB)
    """Maximum size of a control record, such as a project, key, price or webhook; above it: 409."""
    control_records_max: int = Field(100_000, ge=1)
    """Maximum number of control records of the installation; above it: 409."""
    control_write_attempts_max: int = Field(10, ge=1)
    """Maximum number of attempts of a write while other processes write as well; after them:
    503."""
    control_write_timeout_s: float = Field(10.0, gt=0)
    """Maximum time of writing a control record, or users' tiers, and reading them back; after it:
    503."""
    tiers_max: int = Field(1_000_000, ge=1)
    """Maximum number of users of the installation that have a tier; above it: 409."""
    control_transaction_timeout_s: float = Field(2.0, ge=0.5, le=60)
    """Time after which the broker aborts the transaction of a writer that was killed.

    Until then, control records that were written later cannot be read, unless another writer aborts
    the transaction: changes do so at once, and creations after 0.3 s. The broker checks for such
    transactions every 10 s by default, the embedded one every 0.5 s
    (``transaction.abort.timed.out.transaction.cleanup.interval.ms``)."""

    clock_skew_max_s: float = Field(60.0, gt=0)
    """Maximum difference between this machine's clock and the broker's; above it: not ready."""

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
                raise ValueError(f"the file contains no certificates ({error})") from error
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
                    f"not the private key of TRACEMILL_BROKER_SSL_CERTFILE ({error})"
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
    """Limits of the gateway: sizes of requests, and how much may be pending."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_GATEWAY_", frozen=True)

    otlp_body_max_bytes: int = Field(16 * MIB, ge=1 * KIB)
    """Maximum size of an OTLP body before decompression; above it: 413."""
    ingestion_body_max_bytes: int = Field(4_500_000, ge=1 * KIB)
    """Maximum size of a body of the ingestion API before decompression; above it: 413."""
    scores_body_max_bytes: int = Field(1_000_000, ge=1 * KIB)
    """Maximum size of a body of the scores API before decompression; above it: 413."""
    trace_deletions_body_max_bytes: int = Field(1_000_000, ge=1 * KIB)
    """Maximum size of the body of a request that deletes traces; above it: 413."""
    trace_deletions_max: int = Field(1_000, ge=1)
    """Maximum number of traces that one request deletes; above it: 400."""
    trace_deletions_at_once_max: int = Field(50, ge=1)
    """Traces of a request that are deleted at a time. The others follow in further records, because
    a worker reads all traces of a record at once."""
    decompressed_max_bytes: int = Field(64 * MIB, ge=1 * KIB)
    """Maximum size of a body after decompression; above it: 413."""
    public_key_body_max_bytes: int = Field(4 * MIB, ge=1 * KIB)
    """The same for requests with only a public key, which can send only scores."""
    gzip_members_max: int = Field(64, ge=1, le=1_000)
    """Maximum number of gzip members of a body; above it: 400. Usual clients send one."""
    body_timeout_s: float = Field(30.0, gt=0)
    """Maximum time from the head of a request to the end of its body; after it: 408."""
    in_flight_max_bytes: int = Field(192 * MIB, ge=1 * KIB)
    """Maximum total size of the decompressed bodies in progress; above it: 503. A project may not
    use more than is left free: one project alone can use half of it."""
    large_body_bytes: int = Field(128 * KIB, ge=1 * KIB)
    """Size above which a body waits for a free slot before it is read. So does a body of undeclared
    length."""
    large_bodies_max: int = Field(6, ge=1)
    """Number of slots: large bodies that are read, decoded and published at the same time."""
    large_bodies_of_project_max: int = Field(4, ge=1)
    """Maximum number of slots of a project, so that a project that sends slowly leaves some
    free."""
    large_bodies_waiting_max: int = Field(256, ge=0)
    """Maximum number of requests that wait for a slot; above it: 503."""
    turn_timeout_s: float = Field(2.0, gt=0)
    """Maximum time that a request waits for a slot; after it: 503, before the body is read."""
    event_max_bytes: int = Field(8 * MIB, ge=1 * KIB)
    """Maximum size of an event as a line of JSON; a larger event becomes a dead letter. At most
    ``record_max_bytes``."""
    dead_letter_max_bytes: int = Field(12 * MIB, ge=16 * KIB)
    """Maximum size of a dead letter as a line of JSON; the payload is truncated to fit. At most
    ``record_max_bytes``."""
    spans_max: int = Field(100_000, ge=1)
    """Maximum number of spans of an export; above it: 413."""
    groups_max: int = Field(10_000, ge=1)
    """Maximum number of resources and scopes of an export, in total; above it: 413."""
    values_max: int = Field(1_000_000, ge=1)
    """Maximum number of attributes of an export and of values in them; above it: 413."""
    json_values_max: int = Field(1_000_000, ge=1)
    """Maximum number of values of a JSON body, which are counted before decoding; above it: 413."""
    inline_max_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Size above which a body is decoded in a thread; each project uses one thread at a time."""
    inline_values_max: int = Field(20_000, ge=100)
    """Number of attributes and values above which a body of any size is decoded in a thread."""
    decoding_threads_max: int = Field(2, ge=1, le=64)
    """Number of threads that decode bodies."""
    body_rate_min_bytes_per_s: int = Field(256 * KIB, ge=1)
    """Minimum rate of a large body while another request waits for a slot; below it: 503."""
    batch_events_max: int = Field(10_000, ge=1)
    """Maximum number of events of an ingestion batch, or of scores in a list; above it: 413."""
    recent_traces_max_bytes: int = Field(32 * MIB, ge=64 * KIB)
    """Maximum memory for the trace ids of recent observations of the ingestion API, about 500 bytes
    each. Events without a trace id join them; other observations are looked up in the store."""
    batch_max_bytes: int = Field(128 * MIB, ge=1 * KIB)
    """Maximum total size of the events of a request as lines of JSON; above it: 413. Each event
    contains the attributes of its resource."""
    pending_max_bytes: int = Field(128 * MIB, ge=1 * KIB)
    """Maximum size of events that the broker has not acknowledged; above it: 503. Projects share it
    like ``in_flight_max_bytes``."""
    record_target_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Size at which a micro-batch is complete. Only a single larger event exceeds it."""
    linger_ms: float = Field(5.0, ge=0, le=1000)
    """Minimum time between two records of a partition. If no record was sent recently, events are
    sent at once; otherwise they are collected."""
    gather_max_ms: float = Field(20.0, ge=0, le=1000)
    """Maximum time that events of a partition are collected while requests wait to be decoded."""
    delivery_timeout_s: float = Field(2.0, gt=0)
    """Maximum time until the broker has acknowledged all events of a request; after it: 503. It
    must be shorter than the timeout of clients, such as the 5 s of Langfuse SDKs."""
    retry_after_s: int = Field(1, ge=1)
    """Value of ``Retry-After`` in 503 responses, in seconds."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Maximum time that a stopping process waits for pending events."""


class LimitsSettings(BaseSettings):
    """Default limits of what each project may send; a project can have its own.

    A request above a limit has no effect. The response is 429 with ``Retry-After`` (gRPC:
    RESOURCE_EXHAUSTED with RetryInfo). Bytes are those of decompressed bodies.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_LIMITS_", frozen=True)

    events_per_s: float = Field(0.0, ge=0)
    """Maximum number of spans, events and scores of a project per second; 0: no limit."""
    bytes_per_s: float = Field(0.0, ge=0)
    """Maximum bytes of a project per second; 0: no limit."""
    burst_s: float = Field(10.0, gt=0, le=86_400)
    """Burst: after a pause, the amount of this many seconds can be sent at once. A single larger
    request is accepted as well, and later requests wait accordingly."""
    quota_period: Literal["day", "month"] = "month"
    """Period of quotas: a day or a month in UTC."""
    quota_events: int = Field(0, ge=0)
    """Maximum number of events of a project per period; 0: no limit."""
    quota_bytes: int = Field(0, ge=0)
    """Maximum bytes of a project per period; 0: no limit."""
    usage_interval_s: float = Field(1.0, ge=0.05, le=60)
    """Interval at which gateways share their counts for quotas. Several gateways can together
    exceed a quota by what they accept in this time, and a crash loses the counts of this time."""
    gateways: int = Field(1, ge=1, le=10_000)
    """Number of gateway processes that share the load: each allows this fraction of the rates."""


class OtlpGrpcSettings(BaseSettings):
    """OTLP over gRPC: its port, and limits of connections and calls; others are those of HTTP."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_OTLP_GRPC_", frozen=True)

    port: int = Field(4317, ge=0, le=65535)
    """Port of OTLP over gRPC on the host of the public API; 0: disabled."""
    connections_max: int = Field(2_048, ge=1)
    """Maximum number of open connections; additional ones are closed at once."""
    streams_of_connection_max: int = Field(100, ge=1)
    """Maximum number of concurrent calls of a connection; its client delays additional calls."""
    metadata_max_bytes: int = Field(16 * KIB, ge=1 * KIB, le=1 * MIB)
    """Maximum size of the metadata of a call; above it: RESOURCE_EXHAUSTED."""
    idle_max_s: float = Field(300.0, gt=0)
    """Time after which a connection without calls is closed; clients connect again."""
    age_max_s: float = Field(3_600.0, gt=0)
    """Age at which a connection stops accepting calls; clients connect again."""
    handshake_timeout_s: float = Field(30.0, gt=0)
    """Maximum time of setting up a connection; after it, the connection is closed."""
    ping_interval_min_s: float = Field(5.0, gt=0)
    """Minimum interval of a client's keepalive pings, also without calls; connections with more
    frequent pings are closed."""
    keepalive_s: float = Field(120.0, gt=0)
    """Time after which an idle connection is pinged. It is closed if there is no response in 20
    s."""
    unstarted_calls_max: int = Field(1_000, ge=1)
    """Maximum number of calls whose processing has not begun; above it: RESOURCE_EXHAUSTED."""
    reading_max: int = Field(12, ge=1)
    """Maximum number of calls whose messages are received at the same time. It applies to messages
    of any size, because gRPC does not declare their length."""
    reading_of_project_max: int = Field(4, ge=1)
    """Maximum number of such calls of one project."""
    reading_waiting_max: int = Field(256, ge=0)
    """Maximum number of calls that wait to be received; above it: UNAVAILABLE."""
    reading_wait_timeout_s: float = Field(2.0, gt=0)
    """Maximum time that a call waits to be received; after it: UNAVAILABLE. A call whose message
    takes longer than a second to arrive may be refused in favor of waiting calls."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Maximum time that a stopping process waits for calls to end."""


class WebhookSettings(BaseSettings):
    """Addresses that webhooks may reach. The API and the worker must use the same values."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_WEBHOOKS_", frozen=True)

    allow_private: bool = False
    """Allow webhooks to private, loopback and other addresses that are not public."""
    forbidden_ports: str = ""
    """Ports that webhooks must not use, separated by commas: ports of this machine, or HOST:PORT.
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
    """Minimum time between two writes of the last use of a key."""
    last_use_write_interval_s: float = Field(60.0, gt=0)
    """Interval at which the last uses of keys are written."""
    last_use_writes_max: int = Field(100, ge=1)
    """Maximum number of keys whose last use is written in one interval; the others follow in the
    next."""


class AdminSettings(BaseSettings):
    """The installation's admin key, which manages projects and keys but cannot read their data."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_ADMIN_", frozen=True)

    secret_key: SecretStr = SecretStr("")
    """The admin key: at least 32 printable ASCII characters. Clients send it as ``Bearer SECRET``,
    or as the password of the user ``admin``. Empty: there is no admin key, but `tracemill up`
    generates one."""

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value()
        if text and (len(text) < ADMIN_KEY_MIN_CHARS or not text.isascii() or " " in text):
            raise ValueError(f"must have {ADMIN_KEY_MIN_CHARS} ASCII characters or more, no spaces")
        return key


class InitSettings(BaseSettings):
    """The first project and its key, which are created if there are no projects and keys.

    Later, only variables that are set explicitly have an effect.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_INIT_", frozen=True)

    project_id: str = Field("default", min_length=1)
    """Id of the first project."""
    public_key: str = Field("pk-tm-dev", min_length=1)
    """Public key (``LANGFUSE_PUBLIC_KEY``)."""
    secret_key: SecretStr = Field(SecretStr("sk-tm-dev"), min_length=1)
    """Secret key (``LANGFUSE_SECRET_KEY``); only a hash of it is stored."""
