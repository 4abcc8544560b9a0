"""Attribute what a source record changes to the values of dimensions, once per trace and record.

An observation is counted in windows when its event is folded. Its spend waits until all events of
the record are folded, because most traces get their user, name and tags in the record that has
their first observations.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.core.dimensions.keys import WINDOWS_BY_TRACE
from streams.core.observations.lines import ObservationLine
from streams.core.observations.traces import Trace, TraceKey
from streams.core.rollups.contributions import DeltaBook


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """What the events of one source record have changed so far."""

    traces: dict[TraceKey, Trace]
    books: dict[str, DeltaBook]
    """Changes of windows and settled spend, by project."""
    rejected: list[ObservationLine]
    """Events whose trace has reached a limit."""

    def settle(self, trace: Trace) -> None:
        """Add the spend of a changed trace to the book of its project.

        1. If the dimension values of the trace have changed, re-attribute its earlier spend. 2. Add
        what the record changed.
        """
        project_id, trace_id = trace.key
        values = trace.values()
        if values != trace.attributed:
            book = self.books.setdefault(project_id, DeltaBook())
            book.move_spend(trace.earlier_spend(), trace.attributed, values, trace_id)
            if WINDOWS_BY_TRACE:
                book.move_windows(trace.observations.values(), trace.attributed, values, trace_id)
            trace.attributed = values
        if trace.changed_spend is not None:
            self.books[project_id].spend(trace.changed_spend, values, trace_id)
            trace.changed_spend = None
            trace.has_spend = True

    def so_far(self) -> list[tuple[str, DeltaBook]]:
        """Return books with all changes before the traces are settled, with their projects."""
        books = list(self.books.items())
        for trace in self.traces.values():
            if trace.changed_spend is not None:
                project_id, trace_id = trace.key
                book = DeltaBook()
                book.spend(trace.changed_spend, trace.values(), trace_id)
                books.append((project_id, book))
        return books
