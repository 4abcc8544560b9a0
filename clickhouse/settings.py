"""Define the store's settings.

Environment variables have the prefix ``TRACEMILL_``; those of the bucket have the names of AWS.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickhouse.address import http_address

DatabaseName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class StoreSettings(BaseSettings):
    """Connection to the store."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_", extra="ignore", populate_by_name=True
    )

    clickhouse_url: Annotated[str, AfterValidator(http_address)] = "http://127.0.0.1:8123"
    """URL of ClickHouse's HTTP interface."""
    clickhouse_user: str = "default"
    """User of this role. ``tracemill migrate --users`` prints SQL that creates users with least
    privilege."""
    clickhouse_password: SecretStr = SecretStr("")
    """Password of this user."""
    clickhouse_database: DatabaseName = "tracemill"
    """Database of all tables, which ``tracemill migrate`` creates."""
    clickhouse_connect_timeout_s: float = Field(default=5.0, gt=0)
    """Time limit for opening a connection."""
    clickhouse_query_timeout_s: float = Field(default=30.0, gt=0)
    """Time limit of queries without a limit of their own. At the limit, ClickHouse cancels the
    query."""
    clickhouse_insert_timeout_s: float = Field(default=60.0, gt=0)
    """Time limit of an insert. At the limit, the batch is sent again."""
    clickhouse_connections_max: int = Field(default=16, ge=1)
    """Maximum concurrent requests of one process; further ones wait for a connection."""


class TieringSettings(BaseSettings):
    """Tiering: when rows move from the hot to the cold volume, and where the volumes are."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_", extra="ignore", populate_by_name=True
    )

    hot_days: int = Field(default=7, ge=1, le=36500)
    """Age in days at which rows move from the hot to the cold volume."""
    storage_policy: PolicyName = "tiered"
    """Storage policy of the tables on a ClickHouse server. It must have a volume ``cold``."""
    cold_url: str = Field(default="", pattern=r"^(s3://[^/]+(/.*)?)?$")
    """Cold volume of the embedded store, as ``s3://bucket/prefix``; empty: a local directory."""
    aws_endpoint_url: str = Field(
        default="", validation_alias=AliasChoices("AWS_ENDPOINT_URL", "aws_endpoint_url")
    )
    """URL of the S3 API; empty: that of AWS."""
    aws_region: str = Field(
        default="us-east-1", validation_alias=AliasChoices("AWS_REGION", "aws_region")
    )
    """Region of the bucket."""
    aws_access_key_id: str = Field(
        default="", validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "aws_access_key_id")
    )
    """Access key that may read, write and delete in the bucket."""
    aws_secret_access_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    )
    """Secret key of this access key."""


class EmbeddedStoreSettings(BaseSettings):
    """Limits of the embedded store's HTTP server."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_STORE_", extra="ignore")

    queries_max: int = Field(default=16, ge=1)
    """Maximum concurrent queries; further ones wait."""
    inserts_max: int = Field(default=4, ge=1)
    """Maximum concurrent inserts; further ones wait. They are separate from queries, so that
    queries do not delay them."""
    waiting_max: int = Field(default=128, ge=0)
    """Maximum waiting requests. Above the limit, requests are answered 503."""
    query_bytes_max: int = Field(default=16 * 2**20, ge=1024)
    """Maximum size of a statement, and of the body of a request that inserts no rows. Above it,
    requests are answered 413."""
    insert_bytes_max: int = Field(default=512 * 2**20, ge=2**20)
    """Maximum size of the rows of one insert, which are buffered in memory. Above it, requests are
    answered 413."""
    insert_kept_bytes_max: int = Field(default=64 * 2**20, ge=0)
    """Maximum memory of finished inserts that is kept for reuse. Above it, the oldest is freed."""
    insert_chunk_bytes: int = Field(default=4 * 2**20, ge=1024)
    """Size of the chunks in which an insert's body is read."""
    result_chunk_bytes: int = Field(default=2**20, ge=1024)
    """Size of the chunks of a result. An error in the first chunk is reported by the HTTP status,
    a later one at the end of the body."""
    memory_max_bytes: int = Field(default=2 * 2**30, ge=64 * 2**20)
    """Memory limit of one statement. At the limit, the statement fails."""
    execution_time_max_s: int = Field(default=600, ge=1)
    """Time limit of statements of the users ``ingest`` and ``query``. A statement may set a lower
    one."""
    ingest_password: SecretStr = SecretStr("")
    """Password of the user ``ingest`` (SELECT, INSERT of rows); empty: the user is disabled."""
    query_password: SecretStr = SecretStr("")
    """Password of the user ``query`` (SELECT); empty: the user is disabled."""
    migrate_password: SecretStr = SecretStr("")
    """Password of the user ``migrate`` (SELECT, INSERT, DDL); empty: the user is disabled."""
    stop_timeout_s: int = Field(default=10, ge=0)
    """Time limit for running requests after SIGTERM; unfinished ones are cancelled."""
