"""Settings of stage 1: observations."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.encoding import EncodingLimits
from streams.core.observations.fold import (
    DELETED_TRACES_MAX,
    TRACE_OBSERVATIONS_MAX,
    FoldLimits,
)
from streams.core.observations.limits import ROW_BYTES_MAX, row_limits
from streams.core.observations.reading import PAYLOAD_BYTES_MAX
from streams.core.observations.seen import TRACES_MAX

KIB: Final = 1024
MIB: Final = 1024 * KIB
HOUR_US: Final = 3_600_000_000


class StreamsSettings(BaseSettings):
    """Limits of stage 1, which merges and prices observations; they apply per partition of events.

    ``tracemill_observations_limit_reached_total`` counts by name how often a limit delayed, evicted
    or rejected something. Sizes of batches are not counted.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_STREAMS_", frozen=True)

    instance_id: str = Field("", max_length=200)
    """Name of this worker in its consumer group (Kafka's ``group.instance.id``). It must be unique
    among the running workers and stay the same across restarts. A restarted worker then gets its
    partitions back without a rebalance. Empty: none."""
    chunk_records_max: int = Field(64, ge=1)
    """Source records of one chunk. A chunk is read, processed and written as a unit."""
    chunk_bytes_max: int = Field(512 * KIB, ge=1)
    """Bytes of one chunk. A single larger record is one chunk. This limits how long processing
    blocks the event loop."""
    chunk_deletions_max: int = Field(8, ge=1)
    """Deletions of traces in one chunk, whose traces are read as a whole. More are divided, unless
    they are in one record."""
    chunk_linger_ms: float = Field(5.0, ge=0, le=1000)
    """Minimum time between the starts of two chunks, unless a chunk is full. It applies while
    traffic is light and grows with traffic, because larger chunks cost less per event."""
    chunk_linger_max_ms: float = Field(30.0, ge=0, le=1000)
    """Upper bound of ``chunk_linger_ms`` as it grows with traffic."""
    light_traffic_bytes_per_s: int = Field(1_000_000, ge=1)
    """Traffic of a partition up to which it is light. Twice as much traffic doubles
    ``chunk_linger_ms``."""
    chunks_in_flight_max: int = Field(8, ge=1)
    """Processed chunks that wait to be written. At the limit, no further chunk is processed."""
    inbox_records_max: int = Field(2_000, ge=1)
    """Source records that wait to be processed. At the limit, reading the partition pauses."""
    inbox_bytes_max: int = Field(8 * MIB, ge=1)
    """Bytes of source records that wait to be processed. At the limit, reading the partition
    pauses."""
    output_record_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Size at which the rows of a chunk are split into several Kafka records. A single larger row
    is one record."""
    output_batch_bytes: int = Field(1 * MIB, ge=1 * KIB)
    """Size of the batches in which the Kafka producer sends records."""
    resident_observations_max: int = Field(60_000, ge=1)
    """Observations and traces in memory. Above the limit, the least recently used traces are
    evicted. They are read from the store when they change again."""
    resident_text_bytes_max: int = Field(64 * MIB, ge=1)
    """Bytes of texts in memory. Texts are kept for traces, and for observations with partial
    updates. Above the limit, the least recently used traces are evicted."""
    trace_observations_max: int = Field(TRACE_OBSERVATIONS_MAX, ge=1)
    """Observations of one trace. Events of further observations become dead letters. Keep this
    well below ``resident_observations_max``."""
    row_bytes_max: int = Field(ROW_BYTES_MAX, ge=256 * KIB)
    """Maximum size of a row as JSON; ``TRACEMILL_RECORD_MAX_BYTES`` may lower it. Of the space
    that names and numbers leave, input and output may each use 5/12, and metadata 2/12. Longer
    texts are cut and marked."""
    resident_scores_max: int = Field(50_000, ge=1)
    """Scores whose version is kept in memory, so that duplicates are not written again. Above the
    limit, the oldest are dropped."""
    seen_traces_max: int = Field(TRACES_MAX, ge=1)
    """Stored traces whose hash (8 bytes) is kept in memory. Above the limit, the store is queried
    for every trace that is not in memory."""
    deleted_trace_memory_h: float = Field(168.0, ge=1, le=24.0 * 365)
    """Time for which later events of a deleted trace are dropped. After it, an event with the id
    begins a new trace. Keep it longer than an outage of the streams lasts. All workers must have
    the same value."""
    deleted_traces_max: int = Field(DELETED_TRACES_MAX, ge=1)
    """Deleted traces whose later events are dropped. Above the limit, the trace that was deleted
    first is forgotten. All workers must have the same value."""
    store_wait_max_s: float = Field(3.0, gt=0)
    """Time to wait for the store before events are deferred whose trace must be read from it.
    Deferred events are processed when the store answers."""
    deferred_records_max: int = Field(100_000, ge=1)
    """Records of deferred events that wait for the store. At the limit, the partition waits."""
    trace_log_interval_s: float = Field(10.0, gt=0, le=3_600)
    """Interval of writing new traces to the log of traces, from which a restarted worker knows
    them without the store."""
    trace_log_records_max: int = Field(20_000, ge=1)
    """Records of the log of traces of a partition. Above the limit, it is written again as few
    large records when the partition is assigned."""
    trace_log_gap_records_max: int = Field(20_000, ge=1)
    """Records of rows of traces that are read when a partition is assigned, because the log of
    traces lacks them. Above the limit, the traces are read from the store."""
    restore_rows_max: int = Field(60_000, ge=1)
    """Rows of a partition's output that are read when the partition is assigned. Traces beyond the
    limit are read from the store when they change again."""
    restore_bytes_max: int = Field(128 * MIB, ge=1)
    """Bytes of the rows that are read when a partition is assigned."""
    restore_age_max_s: float = Field(3_600.0, gt=0)
    """Maximum age of rows that are restored when a partition is assigned, compared to the newest
    row. Older ones are read only to find the last commit."""
    read_back_traces_max: int = Field(500, ge=1)
    """Traces that one query reads from the store. More are read by several queries."""
    store_retry_s: float = Field(0.2, gt=0)
    """First pause before a failed query of the store is repeated. Each further pause is twice as
    long."""
    store_retry_max_s: float = Field(5.0, gt=0)
    """Maximum pause between two attempts of a query of the store."""
    sink_poll_s: float = Field(0.05, gt=0)
    """Interval of reading the sink's offsets while a partition waits for the sink."""
    revoke_timeout_s: float = Field(5.0, gt=0)
    """Time limit for writing pending rows when a partition is revoked or the worker stops."""
    dead_letter_payload_bytes_max: int = Field(PAYLOAD_BYTES_MAX, ge=1 * KIB)
    """Maximum size of a dead letter's payload, as JSON. A larger payload is cut and marked. Must
    be below ``TRACEMILL_RECORD_MAX_BYTES``."""
    dead_letters_consecutive_max: int = Field(1_000, ge=1)
    """Consecutive unreadable lines. Above the limit, the partition stops."""
    dead_letters_ratio_max: float = Field(0.5, gt=0, le=1)
    """Share of unreadable lines. Above the limit, the partition stops."""
    dead_letters_sample_lines: int = Field(10_000, ge=1)
    """Number of the latest lines from which the share of unreadable lines is computed."""

    def fold_limits(self, encoding: EncodingLimits) -> FoldLimits:
        largest = encoding.value_bytes_max
        return FoldLimits(
            resident_observations_max=self.resident_observations_max,
            resident_text_bytes_max=self.resident_text_bytes_max,
            resident_scores_max=self.resident_scores_max,
            dead_letters=DeadLetterLimit(
                self.dead_letters_consecutive_max,
                self.dead_letters_ratio_max,
                self.dead_letters_sample_lines,
            ),
            dead_letter_payload_bytes_max=min(self.dead_letter_payload_bytes_max, largest * 3 // 4),
            trace_observations_max=self.trace_observations_max,
            encoding=encoding,
            deleted_trace_memory_us=int(self.deleted_trace_memory_h * HOUR_US),
            deleted_traces_max=self.deleted_traces_max,
            rows=row_limits(min(self.row_bytes_max, largest)),
        )
