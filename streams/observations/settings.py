"""Settings of stage 1: observations."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.core.dead_letters.limit import DeadLetterLimit
from streams.core.observations.encoding import EncodingLimits
from streams.core.observations.fold import TRACE_OBSERVATIONS_MAX, FoldLimits
from streams.core.observations.limits import ROW_BYTES_MAX, row_limits
from streams.core.observations.reading import PAYLOAD_BYTES_MAX
from streams.core.observations.seen import TRACES_MAX

KIB: Final = 1024
MIB: Final = 1024 * KIB


class StreamsSettings(BaseSettings):
    """Limits of stage 1; those in memory and in flight count per partition of the events topic.

    Limits that cause backpressure, eviction or rejection are counted, by their name, in
    ``tracemill_observations_limit_reached_total``. Sizes of batches are not: the rest follows in
    the next batch.
    """

    model_config = SettingsConfigDict(env_prefix="TRACEMILL_STREAMS_", frozen=True)

    instance_id: str = Field("", max_length=200)
    """The name of this worker in its group: the same after a restart, and of no other worker that
    runs at the same time. Empty: none."""
    chunk_records_max: int = Field(64, ge=1)
    """Source records of one chunk, which is folded at once."""
    chunk_bytes_max: int = Field(512 * KIB, ge=1)
    """Bytes of one chunk; a single larger record makes a larger chunk. Bounds how long folding
    blocks the event loop."""
    chunk_linger_ms: float = Field(5.0, ge=0, le=1000)
    """Minimum time between two chunks that are not full, while traffic is light."""
    chunk_linger_max_ms: float = Field(30.0, ge=0, le=1000)
    """Upper bound of this time, which grows with traffic: larger chunks cost less per event."""
    light_traffic_bytes_per_s: int = Field(1_000_000, ge=1)
    """Traffic of a partition up to which it is light; twice as much doubles the time."""
    chunks_in_flight_max: int = Field(8, ge=1)
    """Chunks folded whose rows are not acknowledged yet."""
    inbox_records_max: int = Field(2_000, ge=1)
    """Source records waiting to be folded; above it reading of the partition pauses."""
    inbox_bytes_max: int = Field(8 * MIB, ge=1)
    """Bytes of the same."""
    output_record_bytes: int = Field(512 * KIB, ge=1 * KIB)
    """Where the rows of a chunk are cut into records; a single larger row makes a larger record."""
    output_batch_bytes: int = Field(1 * MIB, ge=1 * KIB)
    """Records that the Kafka producer sends together."""
    resident_observations_max: int = Field(60_000, ge=1)
    """Observations (numbers only) and traces in memory; evicted ones are read back from the store
    when they are needed."""
    resident_text_bytes_max: int = Field(64 * MIB, ge=1)
    """Bytes of texts in memory, of traces and of observations with partial updates."""
    trace_observations_max: int = Field(TRACE_OBSERVATIONS_MAX, ge=1)
    """Observations of one trace; events about further ones become dead letters. Keep it well below
    ``resident_observations_max``."""
    row_bytes_max: int = Field(ROW_BYTES_MAX, ge=256 * KIB)
    """Largest row as JSON, at most what ``KafkaSettings.record_max_bytes`` allows. After names and
    numbers, input and output may each take five twelfths of it, and merged metadata two; longer
    ones are cut and marked."""
    resident_scores_max: int = Field(50_000, ge=1)
    """Scores whose version is remembered, so that a duplicate is not written again."""
    seen_traces_max: int = Field(TRACES_MAX, ge=1)
    """Traces of the store that are remembered by their hash, eight bytes each. Above it every trace
    that is not in memory is read back, in case the store has it."""
    restore_rows_max: int = Field(60_000, ge=1)
    """Rows read again when a partition is taken over."""
    restore_bytes_max: int = Field(128 * MIB, ge=1)
    """Bytes of the same."""
    restore_age_max_s: float = Field(3_600.0, gt=0)
    """Rows older than this are not read again, unless they are needed to know where to go on."""
    read_back_traces_max: int = Field(500, ge=1)
    """Traces asked of the store by one query; more take several."""
    store_retry_s: float = Field(0.2, gt=0)
    """First pause after the store did not answer; each further one is twice as long."""
    store_retry_max_s: float = Field(5.0, gt=0)
    """The longest pause."""
    sink_poll_s: float = Field(0.05, gt=0)
    """How often the sink's progress is looked at while something waits for it."""
    revoke_timeout_s: float = Field(5.0, gt=0)
    """How long giving a partition away waits for what was already sent."""
    dead_letter_payload_bytes_max: int = Field(PAYLOAD_BYTES_MAX, ge=1 * KIB)
    """Longest payload of a dead letter, as JSON; a longer one is cut and marked. Below
    ``KafkaSettings.record_max_bytes``."""
    dead_letters_consecutive_max: int = Field(1_000, ge=1)
    """Unreadable lines in a row; above it the stage stops."""
    dead_letters_ratio_max: float = Field(0.5, gt=0, le=1)
    """Unreadable lines per line; above it the stage stops."""
    dead_letters_sample_lines: int = Field(10_000, ge=1)
    """Lines over which the ratio is taken."""

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
            rows=row_limits(min(self.row_bytes_max, largest)),
        )
