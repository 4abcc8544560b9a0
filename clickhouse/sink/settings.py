"""Limits of the sink."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SinkSettings(BaseSettings):
    """How the sink batches.

    Reaching a limit on what is buffered, refused or waited for is counted under its name:
    ``flush_interval_max_s``, ``batch_bytes_max``, ``buffer_bytes_max``, ``insert_attempts_max``,
    ``refused_rows_consecutive_max``, ``refused_rows_ratio_max``, ``old_rows_partitions_max``,
    ``stop_timeout_s``. The others are sizes and intervals that are reached in normal operation.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_SINK_", frozen=True)

    flush_interval_s: float = Field(default=0.1, ge=0.05, le=10)
    """Age of the oldest buffered row at which a table is written while traffic is light."""
    rollup_flush_interval_s: float = Field(default=0.5, ge=0.05, le=10)
    """The same for windows and spend, which say little more if they are written more often."""
    flush_interval_max_s: float = Field(default=2.0, ge=0.05, le=60)
    """The age at most: it grows with the traffic, as bigger batches cost the store less per row."""
    light_traffic_bytes_per_s: int = Field(default=2_000_000, ge=1)
    """Up to so much traffic is light; twice as much doubles the intervals."""
    old_rows_age_h: float = Field(default=48.0, ge=1)
    """Observations and traces that started longer ago are written separately, so that the
    partitions of many old days delay no fresh rows."""
    old_rows_flush_interval_s: float = Field(default=0.5, ge=0.05, le=60)
    """Age of the oldest buffered old row at which the old rows of its table are written."""
    old_rows_partitions_max: int = Field(default=32, ge=1)
    """Partitions that one insert of old rows may touch. After an insert that reaches this limit,
    writing old rows pauses as long as the insert took."""
    commit_interval_s: float = Field(default=0.1, ge=0, le=10)
    """Shortest time between two commits of what was written: a crash in between writes the same rows again."""
    positions_interval_s: float = Field(default=5.0, ge=0.1, le=600)
    """Shortest time between two writes of the log's positions to the store."""
    batch_bytes_max: int = Field(default=32_000_000, ge=1_000)
    """A table with this much buffered is written at once."""
    buffer_bytes_max: int = Field(default=96_000_000, ge=1_000)
    """Buffered and unwritten bytes at which fetching pauses."""
    fetch_interval_s: float = Field(default=0.015, ge=0, le=1)
    """Shortest time between two fetches that brought something: rows of an idle topic are taken at once, those of a busy one together."""
    fetch_wait_max_s: float = Field(default=0.5, ge=0.01, le=10)
    """How long the broker may hold a fetch while there are no rows: an idle sink asks this often. A row ends the wait."""
    fetch_partition_bytes_max: int = Field(default=4_000_000, ge=1_000)
    """What one fetch takes of one partition; more comes with the next."""
    session_timeout_s: float = Field(default=6.0, ge=1)
    """A sink that is silent for so long loses its partitions to another."""
    retry_backoff_s: float = Field(default=0.2, gt=0)
    """First pause after the store did not take a batch; each further one is twice as long."""
    retry_backoff_max_s: float = Field(default=5.0, gt=0)
    """The longest pause."""
    insert_attempts_max: int = Field(default=3, ge=1)
    """Times that a batch may end the store's connection before it is halved, and a single row
    before it becomes a dead letter. While the store is down, inserts are retried without limit."""
    refused_rows_consecutive_max: int = Field(default=1_000, ge=1)
    """Consecutive refused rows of one table at which the sink stops instead of draining a topic
    into the dead letters."""
    refused_rows_ratio_max: float = Field(default=0.5, gt=0, le=1)
    """Refused rows per row of one table; above it the sink stops."""
    refused_rows_sample: int = Field(default=10_000, ge=1)
    """Rows over which the ratio is taken."""
    stop_timeout_s: float = Field(default=10.0, gt=0)
    """How long stopping waits for what is buffered; what is left is read again."""
