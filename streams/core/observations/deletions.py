"""Delete traces: subtract what they count, and drop their later events for a time.

A deletion is an event of its trace, so it takes effect at its place in the log, and a replay has
the same result. Its rows supersede those of the trace: they have higher versions and
``is_deleted``. The deletions themselves are rows of ``trace_deletions``, from which a worker
restores them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from clickhouse.rows import ObservationRow, TraceRow
from clickhouse.trace_deletion_rows import TraceDeletionRow
from streams.core.observations.traces import DAY_US, Trace, TraceKey, deleted_row
from streams.core.rollups.contributions import DeltaBook

_Deletion = tuple[int, int]
"""Version, and time in microseconds."""


class DeletedTraces:
    """The traces whose events are dropped, with the version and the time of their deletion.

    Args:
        memory_us: time for which events of a deleted trace are dropped, by the broker's clock.
        traces_max: traces to remember; the one that was deleted first is evicted.
        reached: counts evictions.
    """

    def __init__(self, memory_us: int, traces_max: int, reached: Counter[str]) -> None:
        self._memory_us = memory_us
        self._traces_max = traces_max
        self._reached = reached
        self.by_trace: dict[TraceKey, _Deletion] = {}
        """Hot loops look here first, which costs less than a call of ``drops``."""
        self._undo: list[tuple[TraceKey, _Deletion | None, tuple[TraceKey, _Deletion] | None]] = []
        """For each deletion since ``begin``: the trace, its earlier deletion, and what was evicted.
        """

    def drops(self, key: TraceKey, append_us: int) -> bool:
        """Return whether an event that the broker received at ``append_us`` is dropped."""
        found = self.by_trace.get(key)
        return found is not None and append_us - found[1] <= self._memory_us

    def begin(self) -> None:
        """Begin a chunk: the changes of the last one are final."""
        self._undo.clear()

    def add(self, key: TraceKey, version: int, deleted_us: int) -> None:
        """Add a deletion; those before it have lower versions."""
        before, evicted = self.by_trace.pop(key, None), None
        if len(self.by_trace) >= self._traces_max:
            oldest = next(iter(self.by_trace))
            evicted = oldest, self.by_trace.pop(oldest)
            self._reached["deleted_traces_max"] += 1
        self.by_trace[key] = (version, deleted_us)
        self._undo.append((key, before, evicted))

    def restore(self, rows: Iterable[TraceDeletionRow], version: int) -> None:
        """Add the deletions up to a version; those of later records will be folded again."""
        for row in sorted(rows, key=lambda row: row.row_version):
            if row.row_version <= version:
                self.add((row.project_id, row.trace_id), row.row_version, row.deleted_us)
        self.begin()

    def forget_after(self, version: int) -> None:
        """Undo the deletions of records above a version, because they will be folded again."""
        while self._undo:
            key, before, evicted = self._undo[-1]
            if self.by_trace[key][0] <= version:
                return
            self._undo.pop()
            del self.by_trace[key]
            if before is not None:
                self.by_trace[key] = before
            if evicted is not None:
                rest = [*self.by_trace.items()]
                self.by_trace.clear()
                self.by_trace.update([evicted, *rest])


def delete_observations(trace: Trace, book: DeltaBook, floor: int) -> list[ObservationRow]:
    """Subtract a trace from windows and spend; return the rows that delete its observations.

    Windows contain all its observations, spend those of earlier records: the changes of the current
    record are not settled yet (``streams.core.observations.attribution``).

    Args:
        trace: the trace; it must not be used any more.
        book: the changes of its project by the current record.
        floor: lowest version of the rows.
    """
    project_id, trace_id = trace.key
    values = trace.attributed
    book.spend(trace.earlier_spend(), values, trace_id, -1)
    rows = []
    for state in trace.observations.values():
        book.count(state, -1, values, trace_id)
        rows.append(
            ObservationRow(
                project_id=project_id,
                trace_id=trace_id,
                id=state.id,
                start_us=state.start_us,
                row_version=max(state.row_version + 1, floor),
                is_deleted=1,
            )
        )
    return rows


def delete_trace_rows(trace: Trace, version: int) -> list[TraceRow]:
    """Return the rows that delete the row of a trace, under each day that it may have."""
    trace.row_version = version
    days = {trace.day, trace.start_us // DAY_US} - {-1}
    return [deleted_row(trace, day * DAY_US) for day in sorted(days)]
