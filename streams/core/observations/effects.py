"""Define the output of folding a chunk of source records."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from clickhouse.rows import DeadLetterRow, ObservationRow, ScoreRow, TraceRow
from clickhouse.trace_deletion_rows import TraceDeletionRow
from streams.core.rollups.deltas import Delta


@dataclass(slots=True)
class Effects:
    """Rows and deltas in the order in which they were produced.

    A deletion follows the row that replaces the deleted one and must be written together with it:
    a reader between the two writes would find both rows, or none.
    """

    last_offset: int
    """Offset of the chunk's last source record, committed with the rows."""
    trace_version: int = 0
    """Version of that record (``streams.core.observations.versions``), committed likewise."""
    deltas: list[Delta] = field(default_factory=list)
    observations: list[ObservationRow] = field(default_factory=list)
    traces: list[TraceRow] = field(default_factory=list)
    scores: list[ScoreRow] = field(default_factory=list)
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    deletions: list[TraceDeletionRow] = field(default_factory=list)
    events: int = 0
    unchanged: int = 0
    """Events that changed nothing: duplicates, and updates older than those already merged."""
    new_traces: array[int] = field(default_factory=lambda: array("Q"))
    """Hashes of the traces that had no row before."""
    of_deleted_traces: int = 0
    """Events that were dropped because their trace was deleted before."""
    unpriced: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """How often another field contradicts each field, which statistics then omit."""

    def costs_that_differ(self) -> int:
        """Return how many rows have a computed cost beside the given one."""
        return sum(row.cost_source == "given" and row.price_id != "" for row in self.observations)
