"""Settings of stage 2: windows and spend."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.reading import PAYLOAD_BYTES_MAX

KIB: Final = 1024


class ProjectSettings(BaseSettings):
    """Limits of stage 2, which computes windows and spend.

    ``tracemill_projects_limit_reached_total`` counts by name how often a limit delayed, evicted or
    rejected something. Sizes of batches are not counted.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_PROJECTS_", frozen=True)

    flush_interval_s: float = Field(0.25, ge=0.01, le=60)
    """Time from a change until the changed rows are written to Kafka."""
    output_record_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Size at which the rows of a flush are split into several Kafka records. A single larger row
    is one record."""
    pending_records_max: int = Field(1_000, ge=1)
    """Records of ``deltas`` that wait to be applied, per partition. At the limit, reading the
    partition pauses."""
    batch_records_max: int = Field(200, ge=1)
    """Records of ``deltas`` that are applied as one batch. The store is queried once per batch for
    the rows that the batch changes."""
    unacknowledged_records_max: int = Field(50_000, ge=1)
    """Records of ``deltas`` that are applied but not flushed, per partition. At the limit, no
    record is applied until the next flush."""
    read_back_groups_max: int = Field(1_000, ge=1)
    """Starts of windows, or quarter-hours of spend, that one query reads from the store. More are
    read by several queries."""
    window_cells_max: int = Field(100_000, ge=1)
    """Windows in memory (2 KiB each), per partition. Above the limit, stored windows are evicted.
    They are read from the store when they change again."""
    window_bins_max: int = Field(2_000_000, ge=1)
    """Bins of the sketches of windows in memory (about 100 bytes each), per partition. A window has
    up to three bins per call, and at most some hundreds. Above the limit, stored windows are
    evicted."""
    spend_cells_max: int = Field(500_000, ge=1)
    """Rows of spend per quarter of an hour in memory, per partition. Above the limit, stored ones
    are evicted. They are read from the store when they change again."""
    resident_idle_s: int = Field(300, ge=1)
    """Time without a change after which stored windows and rows of spend are evicted from memory.
    In steady traffic, 30 windows of each combination of dimensions are in memory."""
    lateness_h: int = Field(24, ge=1)
    """Age of a window above which a change is counted as late. Late changes are applied like all
    others."""
    store_retry_s: float = Field(0.2, gt=0)
    """First pause before a failed query of the store is repeated. Each further pause is twice as
    long."""
    store_retry_max_s: float = Field(5.0, gt=0)
    """Maximum pause between two attempts of a query of the store."""
    sink_poll_s: float = Field(0.1, gt=0)
    """Interval of reading the sink's offsets while a partition waits for the sink."""
    evict_interval_s: float = Field(5.0, gt=0)
    """Interval of evicting windows and spend from memory."""
    marker_interval_s: float = Field(3_600.0, gt=0)
    """Interval of writing a checkpoint while a partition is idle. It must be shorter than the
    retention of the topic ``windows``."""
    dead_letter_payload_bytes_max: int = Field(PAYLOAD_BYTES_MAX, ge=1 * KIB)
    """Maximum size of a delta's dead letter payload, as JSON. A larger payload is cut and marked.
    Must be below ``TRACEMILL_RECORD_MAX_BYTES``."""
    dead_letters_consecutive_max: int = Field(1_000, ge=1)
    """Consecutive deltas that may fail. Above the limit, the partition stops."""
    dead_letters_ratio_max: float = Field(0.5, gt=0, le=1)
    """Share of deltas that may fail. Above the limit, the partition stops."""
    dead_letters_sample_lines: int = Field(10_000, ge=1)
    """Number of the latest deltas from which the share of unreadable ones is computed."""
    restart_pause_s: float = Field(1.0, gt=0)
    """First pause before a failed partition is restarted. Each further failure doubles the pause,
    with jitter."""
    restart_pause_max_s: float = Field(60.0, gt=0)
    """Maximum pause before a failed partition is restarted."""
    stop_timeout_s: float = Field(5.0, gt=0)
    """Time limit for the last flush when the worker stops."""

    def dead_letter_limit(self) -> DeadLetterLimit:
        return DeadLetterLimit(
            self.dead_letters_consecutive_max,
            self.dead_letters_ratio_max,
            self.dead_letters_sample_lines,
        )
