"""What the store's room is told from outside. Environment: the prefix ``TRACEMILL_``, and AWS's own names for the bucket."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from clickhouse.address import http_address

DatabaseName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
PolicyName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class StoreSettings(BaseSettings):
    """How to reach the store."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_", extra="ignore", populate_by_name=True
    )

    clickhouse_url: Annotated[str, AfterValidator(http_address)] = "http://127.0.0.1:8123"
    """Of its HTTP interface."""
    clickhouse_user: str = "default"
    """User of the role; `tracemill migrate --users` prints SQL for users with least privilege."""
    clickhouse_password: SecretStr = SecretStr("")
    """The user's."""
    clickhouse_database: DatabaseName = "tracemill"
    """Holds all tables; ``migrate`` creates it."""
    clickhouse_connect_timeout_s: float = Field(default=5.0, gt=0)
    """Longest a connection may take to open."""
    clickhouse_query_timeout_s: float = Field(default=30.0, gt=0)
    """Longest a query may run, unless it is given another limit; the engine stops it."""
    clickhouse_insert_timeout_s: float = Field(default=60.0, gt=0)
    """Longest a batch may take; after it, it is sent again."""
    clickhouse_connections_max: int = Field(default=16, ge=1)
    """Requests of one process to the store at a time; more wait for a free connection."""


class TieringSettings(BaseSettings):
    """When rows leave the hot volume, and what the cold one is."""

    model_config = SettingsConfigDict(
        env_prefix="TRACEMILL_", extra="ignore", populate_by_name=True
    )

    hot_days: int = Field(default=7, ge=1, le=36500)
    """Days that rows stay on the hot volume; then they move to the cold one."""
    storage_policy: PolicyName = "tiered"
    """The server's policy for the tables; it has a volume ``cold``."""
    cold_url: str = Field(default="", pattern=r"^(s3://[^/]+(/.*)?)?$")
    """``s3://bucket/prefix``; empty: a directory beside the hot data. Read by the embedded store only."""
    aws_endpoint_url: str = Field(
        default="", validation_alias=AliasChoices("AWS_ENDPOINT_URL", "aws_endpoint_url")
    )
    """Of an S3 API that is not AWS's own."""
    aws_region: str = Field(
        default="us-east-1", validation_alias=AliasChoices("AWS_REGION", "aws_region")
    )
    """Of the bucket."""
    aws_access_key_id: str = Field(
        default="", validation_alias=AliasChoices("AWS_ACCESS_KEY_ID", "aws_access_key_id")
    )
    """May read, write and delete in the bucket."""
    aws_secret_access_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    )
    """Of the access key."""


class EmbeddedStoreSettings(BaseSettings):
    """Limits of the embedded store's HTTP front."""

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_STORE_", extra="ignore")

    queries_max: int = Field(default=16, ge=1)
    """Queries that run at a time."""
    inserts_max: int = Field(default=4, ge=1)
    """Inserts that run at a time: slots of their own, so that no query keeps rows out."""
    waiting_max: int = Field(default=128, ge=0)
    """Requests that wait for a slot; the next one is answered 503."""
    query_bytes_max: int = Field(default=16 * 2**20, ge=1024)
    """Longest statement, and longest body of a statement that is not a formatted insert."""
    insert_bytes_max: int = Field(default=512 * 2**20, ge=2**20)
    """Bytes of one insert's rows, which are held in memory until the engine reads them."""
    insert_kept_bytes_max: int = Field(default=64 * 2**20, ge=0)
    """Memory of finished inserts that is kept for the next ones; beyond it the oldest is freed."""
    insert_chunk_bytes: int = Field(default=4 * 2**20, ge=1024)
    """What is gathered of an insert's body before the engine is given it."""
    result_chunk_bytes: int = Field(default=2**20, ge=1024)
    """What is gathered of a result before it is sent; an error within it is still answered with a status."""
    memory_max_bytes: int = Field(default=2 * 2**30, ge=64 * 2**20)
    """What one statement may use."""
    execution_time_max_s: int = Field(default=600, ge=1)
    """Time limit of a statement of the users ingest and query; a statement may set a lower one."""
    ingest_password: SecretStr = SecretStr("")
    """Password of the user ingest (SELECT, INSERT of rows); empty: there is no such user."""
    query_password: SecretStr = SecretStr("")
    """Password of the user query (SELECT); empty: there is no such user."""
    migrate_password: SecretStr = SecretStr("")
    """Password of the user migrate (SELECT, INSERT, DDL); empty: there is no such user."""
    stop_timeout_s: int = Field(default=10, ge=0)
    """How long running requests may take to end after SIGTERM."""
