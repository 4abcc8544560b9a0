"""Count the effects of chunks in metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from streams.core.observations.effects import Effects
from streams.core.observations.failures import PROCESSING_FAILED
from streams.core.observations.fold import ObservationsFold
from streams.core.observations.reading import ReadRecord, deletions_in
from streams.observations import metrics
from streams.observations.settings import StreamsSettings
from streams.runtime.partition_worker import SourceMessage

log = structlog.get_logger(__name__)


def measure(fold: ObservationsFold, effects: Effects, partition: int) -> None:
    """Count the effects of a folded chunk; log the first event that failed."""
    metrics.CHUNK_EVENTS.observe(effects.events)
    metrics.EVENTS_IN.inc(effects.events)
    metrics.UNCHANGED.inc(effects.unchanged)
    metrics.UNPRICED.inc(effects.unpriced)
    metrics.TRACES_DELETED.inc(len(effects.deletions))
    metrics.OF_DELETED_TRACES.inc(effects.of_deleted_traces)
    for field, times in effects.dropped.items():
        metrics.VALUES_DROPPED.labels(field).inc(times)
    metrics.COST_DIFFERS.inc(effects.costs_that_differ())
    metrics.EVICTED.inc(fold.cache.take_evicted())
    for limit, times in fold.take_reached().items():
        metrics.LIMIT_REACHED.labels(limit).inc(times)
    metrics.RESIDENT.labels(str(partition)).set(fold.cache.observations)
    failed = [row for row in effects.dead_letters if row.reason == PROCESSING_FAILED]
    if failed:
        log.error(
            "events_failed",
            partition=partition,
            events=len(failed),
            first_offset=failed[0].source_offset,
            first_failure=failed[0].detail,
        )


def has_too_many_deletions(records: Sequence[ReadRecord], settings: StreamsSettings) -> bool:
    """Return whether a chunk must be divided, because of the traces that it deletes; count it."""
    is_too_many = len(records) > 1 and deletions_in(records) > settings.chunk_deletions_max
    if is_too_many:
        metrics.LIMIT_REACHED.labels("chunk_deletions_max").inc()
    return is_too_many


def skip(messages: Iterable[SourceMessage]) -> None:
    """Acknowledge records whose results are already written."""
    for message in messages:
        message.ack()
        metrics.SKIPPED.inc()
