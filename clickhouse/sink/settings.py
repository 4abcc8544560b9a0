"""Define the sink's settings."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SinkSettings(BaseSettings):
    """Batching, buffering and retries of the sink.

    Limits that cause waiting or refusals are counted under their name when they are reached:
    ``flush_interval_max_s``, ``batch_bytes_max``, ``buffer_bytes_max``, ``insert_attempts_max``,
    ``refused_rows_consecutive_max``, ``refused_rows_ratio_max``, ``old_rows_partitions_max``,
    ``stop_timeout_s``. The others are sizes and intervals that are reached in normal operation.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_SINK_", frozen=True)

    flush_interval_s: float = Field(default=0.1, ge=0.05, le=10)
    """Maximum age of buffered rows of a table while traffic is light."""
    rollup_flush_interval_s: float = Field(default=0.5, ge=0.05, le=10)
    """The same for windows and spend, which many rows update."""
    flush_interval_max_s: float = Field(default=2.0, ge=0.05, le=60)
    """Upper bound of these ages, which grow with traffic: larger batches cost less per row."""
    light_traffic_bytes_per_s: int = Field(default=2_000_000, ge=1)
    """Traffic up to which it is light; twice as much doubles the ages."""
    old_rows_age_h: float = Field(default=48.0, ge=1)
    """Age above which observations and traces are inserted separately, so that the partitions of
    many old days do not delay fresh rows."""
    old_rows_flush_interval_s: float = Field(default=0.5, ge=0.05, le=60)
    """Maximum age of buffered old rows of a table."""
    old_rows_partitions_max: int = Field(default=32, ge=1)
    """Maximum partitions that one insert of old rows touches. After an insert that reaches this
    limit, writing old rows pauses as long as the insert took."""
    commit_interval_s: float = Field(default=0.1, ge=0, le=10)
    """Minimum time between commits; after a crash, rows since the last one are inserted again."""
    positions_interval_s: float = Field(default=5.0, ge=0.1, le=600)
    """Minimum time between writes of the log's positions to the store."""
    batch_bytes_max: int = Field(default=32_000_000, ge=1_000)
    """Buffered bytes at which a table is written immediately."""
    buffer_bytes_max: int = Field(default=96_000_000, ge=1_000)
    """Buffered and unwritten bytes at which fetching pauses."""
    fetch_interval_s: float = Field(default=0.015, ge=0, le=1)
    """Minimum time between fetches that return rows while traffic is light: a fetch then returns
    what has arrived in the meantime."""
    fetch_interval_max_s: float = Field(default=0.15, ge=0, le=1)
    """Upper bound of this time, which grows with traffic like the ages of buffered rows."""
    fetch_wait_max_s: float = Field(default=0.5, ge=0.01, le=10)
    """Maximum time that the broker holds a fetch while there are no rows."""
    fetch_partition_bytes_max: int = Field(default=4_000_000, ge=1_000)
    """Maximum bytes of one partition per fetch."""
    session_timeout_s: float = Field(default=6.0, ge=1)
    """Time without heartbeat after which the sink's partitions are assigned to another one."""
    retry_backoff_s: float = Field(default=0.2, gt=0)
    """First pause before an insert is retried; each further one is twice as long."""
    retry_backoff_max_s: float = Field(default=5.0, gt=0)
    """Maximum pause."""
    insert_attempts_max: int = Field(default=3, ge=1)
    """Number of dropped connections after which a batch is halved and a single row becomes a dead
    letter. While the store is down, inserts are retried without limit."""
    refused_rows_consecutive_max: int = Field(default=1_000, ge=1)
    """Consecutive refused rows of a table at which the sink stops, so that a topic is not moved to
    the dead letters as a whole."""
    refused_rows_ratio_max: float = Field(default=0.5, gt=0, le=1)
    """Maximum ratio of refused rows of a table; above it the sink stops."""
    refused_rows_sample: int = Field(default=10_000, ge=1)
    """Number of rows for the ratio."""
    stop_timeout_s: float = Field(default=10.0, gt=0)
    """Time limit for writing buffered rows when stopping; the others are read again."""
