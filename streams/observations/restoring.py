"""Restore a partition of stage 1: its last commit, and the traces in the tail of its output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import structlog

from clickhouse.rows import ObservationRow, TraceRow
from producers.kafka.topics import Topics
from streams.core.dead_letters.texts import describe_error
from streams.core.observations.failures import TraceFailedError, root_of
from streams.core.observations.fold import Needs, ObservationsFold
from streams.core.observations.seen import SeenTraces
from streams.core.observations.trace_cache import TraceHistory
from streams.core.observations.traces import TraceKey
from streams.core.observations.versions import RecordVersion
from streams.observations.ports import History, Output, Restored
from streams.observations.writer import commit_headers

log = structlog.get_logger(__name__)

RowT = TypeVar("RowT", ObservationRow, TraceRow)


async def restored_from(
    history: History, output: Output, topics: Topics, partition: int
) -> tuple[Restored, RecordVersion]:
    """Read the tail of a partition's output; return it with the version of the last record.

    1. Read the tail. 2. If no commit has a version, wait until the store has all earlier rows,
    write an empty commit with the highest version of any trace row, and repeat from step 1. If
    several workers write such a commit, all of them use the first one in the log.
    """
    while True:
        restored = await history.restore(partition)
        offset, version = restored.resume_after, restored.trace_version
        if version is not None:
            return restored, RecordVersion(offset, version)
        await history.stored(partition, restored.begin)
        known = [await history.trace_version(), *(row.row_version for row in restored.traces)]
        headers = commit_headers(RecordVersion(offset, max(known)))
        await (await output.send(topics.observations, partition, b"", headers))


def adopt_restored(fold: ObservationsFold, histories: Iterable[TraceHistory]) -> None:
    """Add the restored traces to the cache.

    Traces with invalid rows are left out and are read back from the store when they are needed.
    """
    nothing = Needs(set(), set())
    for history in histories:
        try:
            fold.load([history], nothing)
        except TraceFailedError as failure:
            log.warning(
                "trace_not_restored", trace=str(failure), reason=describe_error(root_of(failure))
            )


def complete_traces(restored: Restored, seen: SeenTraces) -> Iterable[TraceHistory]:
    """Return the traces whose observations were all read; add the other traces to ``seen``."""
    observations: dict[TraceKey, dict[str, ObservationRow]] = {}
    for row in restored.observations:
        of_trace = observations.setdefault((row.project_id, row.trace_id), {})
        latest = of_trace.get(row.id)
        if latest is None or _is_newer(row, latest):
            of_trace[row.id] = row
    traces: dict[TraceKey, TraceRow] = {}
    for trace in restored.traces:
        key = (trace.project_id, trace.id)
        # Keep the order in which the rows were written, which is the order of eviction.
        before = traces.pop(key, None)
        traces[key] = trace if before is None or _is_newer(trace, before) else before
    for key in observations.keys() - traces.keys():
        seen.add(key)
    for key, trace in traces.items():
        rows = [row for row in observations.get(key, {}).values() if not row.is_deleted]
        if not trace.is_deleted and len(rows) == trace.observation_count:
            yield TraceHistory(key, trace, rows)
        else:
            seen.add(key)


def _is_newer(row: RowT, than: RowT) -> bool:
    """Return whether a row replaces an earlier one of the same trace or observation.

    A deletion of the same version deletes only what the other row replaces under another key.
    """
    if row.row_version == than.row_version:
        return not row.is_deleted
    return row.row_version > than.row_version
