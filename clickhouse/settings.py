"""Define the store's settings.

Environment variables have the prefix ``TRACEMILL_``; the bucket also takes AWS's own names.
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
    """User of the role; `tracemill migrate --users` prints SQL for users with least privilege."""
    clickhouse_password: SecretStr = SecretStr("")
    """Password of the user."""
    clickhouse_database: DatabaseName = "tracemill"
    """Database of all tables; ``tracemill migrate`` creates it."""
    clickhouse_connect_timeout_s: float = Field(default=5.0, gt=0)
    """Time limit for opening a connection."""
    clickhouse_query_timeout_s: float = Field(default=30.0, gt=0)
    """Time limit of a query that has no limit of its own; the engine cancels it."""
    clickhouse_insert_timeout_s: float = Field(default=60.0, gt=0)
    """Time limit of an insert; after it the batch is sent again."""
    clickhouse_connections_max: int = Field(default=16, ge=1)
    """Maximum concurrent requests of one process; further ones wait for a connection."""


class TieringSettings(BaseSettings):
    """Hot and cold volume: when rows move, and where to."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_", extra="ignore", populate_by_name=True
    )

    hot_days: int = Field(default=7, ge=1, le=36500)
    """Days after which rows move from the hot to the cold volume."""
    storage_policy: PolicyName = "tiered"
    """The server's storage policy for the tables; must have a volume ``cold``."""
    cold_url: str = Field(default="", pattern=r"^(s3://[^/]+(/.*)?)?$")
    """Cold volume of the embedded store: ``s3://bucket/prefix``; empty: a local directory."""
    aws_endpoint_url: str = Field(
        default="", validation_alias=AliasChoices("AWS_ENDPOINT_URL", "aws_endpoint_url")
    )
    """URL of an S3 API other than AWS."""
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
    """Secret of the access key."""


class EmbeddedStoreSettings(BaseSettings):
    """Limits of the embedded store's HTTP server."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_STORE_", extra="ignore")

    queries_max: int = Field(default=16, ge=1)
    """Maximum concurrent queries."""
    inserts_max: int = Field(default=4, ge=1)
    """Maximum concurrent inserts, separate from queries, so that queries do not delay them."""
    waiting_max: int = Field(default=128, ge=0)
    """Maximum requests that wait to run; above it: 503."""
    query_bytes_max: int = Field(default=16 * 2**20, ge=1024)
    """Maximum size of a statement, and of the body of any but a formatted insert."""
    insert_bytes_max: int = Field(default=512 * 2**20, ge=2**20)
    """Maximum size of one insert's rows, which are buffered in memory for the engine."""
    insert_kept_bytes_max: int = Field(default=64 * 2**20, ge=0)
    """Maximum memory of finished inserts that is kept for reuse; above it the oldest is freed."""
    insert_chunk_bytes: int = Field(default=4 * 2**20, ge=1024)
    """Size of the chunks in which an insert's body is read."""
    result_chunk_bytes: int = Field(default=2**20, ge=1024)
    """Size of the chunks of a result; an error in the first one still has an HTTP status."""
    memory_max_bytes: int = Field(default=2 * 2**30, ge=64 * 2**20)
    """Memory limit of one statement."""
    execution_time_max_s: int = Field(default=600, ge=1)
    """Time limit of statements of the users ingest and query; a statement may set a lower one."""
    ingest_password: SecretStr = SecretStr("")
    """Password of the user ingest (SELECT, INSERT of rows); empty disables the user."""
    query_password: SecretStr = SecretStr("")
    """Password of the user query (SELECT); empty disables the user."""
    migrate_password: SecretStr = SecretStr("")
    """Password of the user migrate (SELECT, INSERT, DDL); empty disables the user."""
    stop_timeout_s: int = Field(default=10, ge=0)
    """Time limit for running requests after SIGTERM."""
