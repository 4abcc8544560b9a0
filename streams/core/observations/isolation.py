"""Find the events that make folding a chunk fail, so that it is folded again without them.

``streams.core.observations.fold`` sets aside an event that raises before it changed state. After
any other failure, the traces of the chunk are read back and the chunk is folded again without the
failed part. If the failure cannot be attributed, rows and deltas are encoded after each event to
find it. Whether an event is set aside depends on the log up to that event and not on the chunk, so
a replay sets aside the same events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.dead_letters.texts import describe_error
from streams.core.observations.encoding import RowFailedError
from streams.core.observations.failures import (
    EventFailedError,
    EventPlace,
    FoldFailedError,
    TraceFailedError,
    root_of,
)
from streams.core.observations.lines import Line
from streams.core.observations.reading import ReadRecord
from streams.core.observations.traces import TraceKey
from tracemill.contract import Score


@dataclass(slots=True)
class Isolation:
    """Events and traces of one chunk that its failed attempts have identified so far."""

    set_aside: dict[EventPlace, str] = field(default_factory=dict)
    """Events that are left out, with the description of their failure."""
    checked_traces: set[TraceKey] = field(default_factory=set)
    """Traces whose row is encoded after each of their events, to find the one that fails."""
    checks_all: bool = False
    """Check all traces, and the deltas, after each event."""

    def checks(self, key: TraceKey) -> bool:
        return self.checks_all or key in self.checked_traces

    @property
    def is_checking(self) -> bool:
        return self.checks_all or bool(self.checked_traces)

    def learn(self, failure: Exception, records: Iterable[ReadRecord]) -> bool:
        """Record a failed attempt; return False if no further part can be isolated."""
        if isinstance(failure, EventFailedError):
            self.set_aside[failure.place] = describe_error(root_of(failure))
            return True
        if isinstance(failure, TraceFailedError):
            return self._leave_out(failure.key, failure, records)
        key = _trace_of(failure)
        if key is not None and not self.checks(key):
            self.checked_traces.add(key)
            return True
        if not self.checks_all:
            self.checks_all = True
            return True
        return False

    def leave_out_all(self, failure: Exception, records: Iterable[ReadRecord]) -> None:
        """Set aside every event of records whose failure cannot be attributed."""
        detail = describe_error(root_of(failure))
        for record in records:
            for index in range(len(record.lines)):
                self.set_aside.setdefault((record.offset, index), detail)

    def _leave_out(
        self, key: TraceKey, failure: FoldFailedError, records: Iterable[ReadRecord]
    ) -> bool:
        before, detail = len(self.set_aside), describe_error(root_of(failure))
        for record in records:
            for index, line in enumerate(record.lines):
                if trace_key_of(line) == key:
                    self.set_aside[record.offset, index] = detail
        return len(self.set_aside) > before


def trace_key_of(line: Line) -> TraceKey | None:
    """Return the trace whose state an event changes; None for scores."""
    return None if isinstance(line, Score) else (line.project_id, line.trace_id)


def _trace_of(failure: Exception) -> TraceKey | None:
    if not isinstance(failure, RowFailedError):
        return None
    row = failure.row
    if isinstance(row, ObservationRow):
        return row.project_id, row.trace_id
    if isinstance(row, TraceRow):
        return row.project_id, row.id
    return None
