"""Define the sink's settings."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SinkSettings(BaseSettings):
    """Limits of the sink, which inserts rows into the store: batches, buffers and retries.

    ``tracemill_sink_limit_reached_total`` counts by name how often a limit delayed or refused
    something. Sizes and intervals of normal operation are not counted.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_SINK_", frozen=True)

    flush_interval_s: float = Field(default=0.1, ge=0.05, le=10)
    """Maximum age of a table's buffered rows. It applies while traffic is light and grows with
    traffic, because larger batches cost less per row."""
    rollup_flush_interval_s: float = Field(default=0.5, ge=0.05, le=10)
    """Maximum age of buffered rows of windows and spend, whose rows are often updated. It grows in
    the same way."""
    flush_interval_max_s: float = Field(default=2.0, ge=0.05, le=60)
    """Upper bound of both ages as they grow with traffic."""
    light_traffic_bytes_per_s: int = Field(default=2_000_000, ge=1)
    """Traffic of all tables up to which it is light. Twice as much traffic doubles the ages."""
    old_rows_age_h: float = Field(default=48.0, ge=1)
    """Age of observations and traces from which on they are inserted separately, so that the
    partitions of many old days do not delay new rows."""
    old_rows_flush_interval_s: float = Field(default=0.5, ge=0.05, le=60)
    """Maximum age of a table's buffered old rows."""
    old_rows_partitions_max: int = Field(default=32, ge=1)
    """Maximum partitions of one insert of old rows. After an insert that reaches this limit, old
    rows wait for as long as the insert took."""
    commit_interval_s: float = Field(default=0.1, ge=0, le=10)
    """Minimum time between commits of offsets. After a crash, rows since the last commit are
    inserted again, which changes nothing."""
    positions_interval_s: float = Field(default=5.0, ge=0.1, le=600)
    """Minimum time between writes of the log's positions to the store. They show after a restart
    whether the log has been replaced or truncated."""
    batch_bytes_max: int = Field(default=32_000_000, ge=1_000)
    """Buffered bytes at which a table's rows are inserted immediately."""
    buffer_bytes_max: int = Field(default=96_000_000, ge=1_000)
    """Bytes of rows that are not stored yet. At the limit, fetching pauses."""
    fetch_interval_s: float = Field(default=0.015, ge=0, le=1)
    """Minimum time between fetches that return rows. It applies while traffic is light and grows
    with traffic, because larger fetches cost less per row."""
    fetch_interval_max_s: float = Field(default=0.15, ge=0, le=1)
    """Upper bound of ``fetch_interval_s`` as it grows with traffic."""
    fetch_wait_max_s: float = Field(default=0.5, ge=0.01, le=10)
    """Maximum time that a fetch waits for new rows at the broker."""
    fetch_partition_bytes_max: int = Field(default=4_000_000, ge=1_000)
    """Maximum bytes of one partition that a fetch returns."""
    session_timeout_s: float = Field(default=6.0, ge=1)
    """Time without heartbeats after which the sink's partitions are assigned to another sink."""
    retry_backoff_s: float = Field(default=0.2, gt=0)
    """First pause before an insert is retried. Each further pause is twice as long."""
    retry_backoff_max_s: float = Field(default=5.0, gt=0)
    """Maximum pause before an insert is retried."""
    insert_attempts_max: int = Field(default=3, ge=1)
    """Dropped connections after which a batch is halved, and a single row becomes a dead letter.
    While the store is down, inserts are retried without limit."""
    refused_rows_consecutive_max: int = Field(default=1_000, ge=1)
    """Consecutive refused rows of a table. Above the limit, the sink stops, so that not all rows of
    a topic become dead letters."""
    refused_rows_ratio_max: float = Field(default=0.5, gt=0, le=1)
    """Share of refused rows of a table. Above the limit, the sink stops."""
    refused_rows_sample: int = Field(default=10_000, ge=1)
    """Number of the latest rows from which the share of refused rows is computed."""
    stop_timeout_s: float = Field(default=10.0, gt=0)
    """Time limit for storing buffered rows when the sink stops. Other rows are read again later."""
