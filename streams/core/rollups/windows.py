"""Window cells: the totals of ten seconds of event time, per project and dimensions.

Rows contain totals, not changes. ``row_version`` is derived from the offset of the last record of
the topic ``deltas`` that changed the cell. After a cell is read back from the store, records whose
changes it already contains are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clickhouse.rows import WindowRow
from streams.core.dimensions.keys import CellKey
from streams.core.dimensions.sources import WINDOW_DIMENSIONS
from streams.core.observations.limits import CELL_USAGE_TYPES_MAX
from streams.core.rollups.amounts import add_amounts, is_capped, row_amount, row_amounts
from streams.core.rollups.cell_measures import CellMeasures, add_counts, measures_of
from streams.core.rollups.deltas import WindowDelta
from streams.core.rollups.measures import has_measures
from streams.core.rollups.sketch import bins_of, state_hex
from streams.core.rollups.undo import Undo

WindowKey = CellKey
"""Values of the dimensions of windows."""
_COLUMNS: Final = tuple(each.name for each in WINDOW_DIMENSIONS)


class WindowCell:
    """The totals of one window."""

    __slots__ = (
        "bins",
        "capped",
        "contained_version",
        "cost_pico",
        "errors",
        "measures",
        "observations",
        "row_version",
        "usage",
    )

    def __init__(self) -> None:
        self.observations = 0
        self.errors = 0
        self.cost_pico = 0
        self.usage: dict[str, int] = {}
        self.bins: dict[int, int] = {}
        self.measures: CellMeasures | None = None
        self.row_version = 0
        self.contained_version = 0
        """Version of the row that was read back; changes up to this version are skipped."""
        self.capped = False
        """Whether an amount of that row was capped, so that corrections may make it negative."""

    def bin_count(self) -> int:
        """Return the number of bins of its sketches."""
        measures = self.measures
        if measures is None:
            return len(self.bins)
        return len(self.bins) + len(measures.ttft_bins) + len(measures.rate_bins)

    def restore(self, numbers: tuple[int, int, int, int, dict[str, int]]) -> None:
        """Restore the values that ``apply`` recorded in ``undo``."""
        self.observations, self.errors, self.cost_pico, self.row_version, self.usage = numbers

    def apply(self, change: WindowDelta, version: int, undo: Undo | None = None) -> bool:
        """Add ``change`` unless the cell already contains it; return whether it was added.

        The previous values are added to ``undo``.
        """
        if undo is None:
            undo = []
        numbers = (self.observations, self.errors, self.cost_pico, self.row_version, self.usage)
        undo.append((self, None, numbers))
        if version <= self.contained_version:
            return False
        self.observations += change.observations
        self.errors += change.errors
        self.cost_pico += change.cost_pico
        usage = change.usage
        if usage:
            if len(self.usage) + len(usage) > CELL_USAGE_TYPES_MAX:
                usage = self._within_limit(usage)
            add_counts(self.usage, usage, undo)
        add_counts(self.bins, change.latency_bins, undo)
        if has_measures(change):
            if self.measures is None:
                self.measures = CellMeasures()
            self.measures.apply(change, undo)
        if self.capped:
            self.cost_pico = max(self.cost_pico, 0)
            self.usage = {kind: units for kind, units in self.usage.items() if units > 0}
        self.row_version = version
        return True

    def _within_limit(self, change: Mapping[str, int]) -> dict[str, int]:
        """Return ``change`` with usage types beyond the window's limit as ``OTHER_USAGE``."""
        named = dict.fromkeys(self.usage, 0)
        add_amounts(named, change, 1, CELL_USAGE_TYPES_MAX)
        return named


def window_row(project_id: str, window_s: int, key: WindowKey, cell: WindowCell) -> WindowRow:
    columns: dict[str, Any] = dict(zip(_COLUMNS, key, strict=True))
    if cell.measures is not None:
        columns |= cell.measures.columns()
    return WindowRow(
        project_id=project_id,
        window_s=window_s,
        row_version=cell.row_version,
        observation_count=row_amount(cell.observations),
        error_count=row_amount(cell.errors),
        usage=row_amounts(cell.usage),
        total_cost_pico=row_amount(cell.cost_pico),
        latency_state_hex=state_hex(cell.bins),
        **columns,
    )


def window_cell(row: WindowRow) -> WindowCell:
    """Restore a cell from its row.

    Raises:
        ValueError: a sketch is invalid.
    """
    cell = WindowCell()
    cell.observations = row.observation_count
    cell.errors = row.error_count
    cell.cost_pico = row.total_cost_pico
    cell.usage = {kind: units for kind, units in row.usage.items() if units}
    cell.bins = bins_of(bytes.fromhex(row.latency_state_hex))
    cell.measures = measures_of(row)
    cell.row_version = cell.contained_version = row.row_version
    cell.capped = is_capped(max(cell.cost_pico, *cell.usage.values(), 0))
    return cell
