"""Settings of stages 2 and 3: windows, spend, budgets."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.reading import PAYLOAD_BYTES_MAX

KIB: Final = 1024


class ProjectSettings(BaseSettings):
    """Limits of the stage by project.

    Limits that cause backpressure, eviction or rejection are counted, by their name, in
    ``tracemill_projects_limit_reached_total``. Sizes of batches are not: the rest follows in the
    next batch.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_PROJECTS_", frozen=True)

    flush_interval_s: float = Field(0.25, ge=0.01, le=60)
    """From a change until its rows are sent."""
    output_record_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Where the rows of a flush are cut into records."""
    pending_records_max: int = Field(1_000, ge=1)
    """Records of ``deltas`` waiting for one partition."""
    batch_records_max: int = Field(200, ge=1)
    """Records of one batch, for which the store is queried together."""
    unacknowledged_records_max: int = Field(50_000, ge=1)
    """Records applied but not flushed; above it the partition waits for its flush."""
    read_back_groups_max: int = Field(1_000, ge=1)
    """Minutes or quarter-hours of projects read back by one query; more take several."""
    window_cells_max: int = Field(200_000, ge=1)
    """Windows in memory, per partition; others are read back when they change."""
    spend_cells_max: int = Field(500_000, ge=1)
    """Quarter-hours of spend in memory, per partition; others are read back when they change."""
    resident_idle_s: int = Field(900, ge=1)
    """Cells that did not change for this long are evicted, once they are stored."""
    lateness_h: int = Field(24, ge=1)
    """Windows changed later than this are counted as late; they are amended all the same."""
    budget_periods_max: int = Field(100_000, ge=1)
    """Budget periods watched at a time, per partition; while as many are not evaluated yet, the
    partition waits. One record, or one change of budgets, may exceed it."""
    budget_periods_unevaluated_max: int = Field(50_000, ge=2)
    """Periods not evaluated yet, which each flush lists. From half of the limit on the partition
    waits; periods beyond it are not evaluated. Never more than half a record can list."""
    baselines_max: int = Field(64, ge=1)
    """Budget periods of one query to the store."""
    alerts_max: int = Field(2_000_000, ge=1)
    """Ids of past alerts in memory; above it the oldest are forgotten. Late data can then repeat
    such an alert, with the same id."""
    store_retry_s: float = Field(0.2, gt=0)
    """First pause after the store did not answer; each further one is twice as long."""
    store_retry_max_s: float = Field(5.0, gt=0)
    """The longest pause."""
    sink_poll_s: float = Field(0.1, gt=0)
    """How often the sink's progress is read while something waits for it."""
    evict_interval_s: float = Field(5.0, gt=0)
    """How often cells are evicted."""
    marker_interval_s: float = Field(3_600.0, gt=0)
    """How often progress is written while idle: it must not age out of its topic."""
    dead_letter_payload_bytes_max: int = Field(PAYLOAD_BYTES_MAX, ge=1 * KIB)
    """Longest payload of a delta's dead letter, as JSON; a longer one is cut and marked. Below
    ``KafkaSettings.record_max_bytes``."""
    dead_letters_consecutive_max: int = Field(1_000, ge=1)
    """Consecutive deltas that fail; above it the partition stops."""
    dead_letters_ratio_max: float = Field(0.5, gt=0, le=1)
    """Deltas that fail per delta; above it the partition stops."""
    dead_letters_sample_lines: int = Field(10_000, ge=1)
    """Deltas over which the ratio is taken."""
    restart_pause_s: float = Field(1.0, gt=0)
    """Pause before a failed partition is restarted; it doubles with each further failure, with
    jitter."""
    restart_pause_max_s: float = Field(60.0, gt=0)
    """The longest pause."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """How long stopping waits for a last flush."""

    def dead_letter_limit(self) -> DeadLetterLimit:
        return DeadLetterLimit(
            self.dead_letters_consecutive_max,
            self.dead_letters_ratio_max,
            self.dead_letters_sample_lines,
        )
