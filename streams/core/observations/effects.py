"""What folding a chunk of source records produces, besides the state that stays in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from clickhouse.rows import DeadLetterRow, ObservationRow, ScoreRow, TraceRow
from streams.core.rollups.deltas import Delta


@dataclass(slots=True)
class Effects:
    """Rows and deltas in the order in which they came about.

    A deletion follows the row that takes the place of the deleted one, and has to be written together with it: whoever reads back between the
    two would find both, or none.
    """

    last_offset: int
    """Of the chunk's source records: with the rows it is the commit."""
    trace_version: int = 0
    """Version of that record (``streams.core.observations.versions``), part of the commit."""
    deltas: list[Delta] = field(default_factory=list)
    observations: list[ObservationRow] = field(default_factory=list)
    traces: list[TraceRow] = field(default_factory=list)
    scores: list[ScoreRow] = field(default_factory=list)
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    events: int = 0
    unchanged: int = 0
    """Events that said nothing new: duplicates, and statements that later ones had outranked already."""
    unpriced: int = 0
