"""Spend cells: the totals of a quarter of an hour of event time, per project and dimensions.

Days and months of every time zone in use begin at a quarter of an hour, so a budget period consists
of whole buckets.
"""

from __future__ import annotations

from clickhouse.rows import SpendRow
from streams.core.dimensions.keys import BUCKET_S, CellKey
from streams.core.dimensions.sources import SPEND_DIMENSIONS
from streams.core.rollups.amounts import is_capped, row_amount
from streams.core.rollups.deltas import SpendDelta
from streams.core.rollups.undo import Undo

SpendKey = CellKey
"""Values of the dimensions of spend."""


_COLUMNS = tuple(each.name for each in SPEND_DIMENSIONS)


class SpendCell:
    """Totals of cost, observations and tokens; the other fields are as in ``WindowCell``."""

    __slots__ = (
        "capped",
        "contained_version",
        "cost_pico",
        "errors",
        "input_tokens",
        "observations",
        "output_tokens",
        "row_version",
        "total_tokens",
        "unpriced",
    )

    def __init__(self) -> None:
        self.cost_pico = 0
        self.observations = 0
        self.errors = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.total_tokens = 0
        self.unpriced = 0
        self.row_version = 0
        self.contained_version = 0
        self.capped = False
        """Whether the row that was read back has a capped amount, as in ``WindowCell``."""

    def restore(self, numbers: tuple[int, int, int, int, int, int, int, int]) -> None:
        """Restore the values that ``apply`` recorded in ``undo``."""
        (
            self.cost_pico,
            self.observations,
            self.errors,
            self.input_tokens,
            self.output_tokens,
            self.total_tokens,
            self.unpriced,
            self.row_version,
        ) = numbers

    def _numbers(self) -> tuple[int, int, int, int, int, int, int, int]:
        return (
            self.cost_pico,
            self.observations,
            self.errors,
            self.input_tokens,
            self.output_tokens,
            self.total_tokens,
            self.unpriced,
            self.row_version,
        )

    def apply(self, change: SpendDelta, version: int, undo: Undo | None = None) -> bool:
        """Add ``change`` unless the cell already contains it; return whether it was added.

        The previous values are added to ``undo``.
        """
        if undo is not None:
            undo.append((self, None, self._numbers()))
        if version <= self.contained_version:
            return False
        self.cost_pico += change.cost_pico
        self.observations += change.observations
        self.errors += change.errors
        self.input_tokens += change.input_tokens
        self.output_tokens += change.output_tokens
        self.total_tokens += change.total_tokens
        self.unpriced += change.unpriced
        if self.capped:
            self.cost_pico = max(self.cost_pico, 0)
            self.input_tokens = max(self.input_tokens, 0)
            self.output_tokens = max(self.output_tokens, 0)
            self.total_tokens = max(self.total_tokens, 0)
        self.row_version = version
        return True


def bucket_of(start_s: int) -> int:
    """Return the start of the stored interval that contains a change."""
    return start_s // BUCKET_S * BUCKET_S


def spend_row(project_id: str, bucket_s: int, key: SpendKey, cell: SpendCell) -> SpendRow:
    return SpendRow(
        project_id=project_id,
        bucket_s=bucket_s,
        row_version=cell.row_version,
        total_cost_pico=row_amount(cell.cost_pico),
        observation_count=row_amount(cell.observations),
        error_count=row_amount(cell.errors),
        input_tokens=row_amount(cell.input_tokens),
        output_tokens=row_amount(cell.output_tokens),
        total_tokens=row_amount(cell.total_tokens),
        unpriced_count=row_amount(cell.unpriced),
        **dict(zip(_COLUMNS, key, strict=True)),
    )


def spend_cell(row: SpendRow) -> SpendCell:
    """Restore a cell from its row."""
    cell = SpendCell()
    cell.cost_pico = row.total_cost_pico
    cell.observations = row.observation_count
    cell.errors = row.error_count
    cell.input_tokens = row.input_tokens
    cell.output_tokens = row.output_tokens
    cell.total_tokens = row.total_tokens
    cell.unpriced = row.unpriced_count
    cell.capped = is_capped(
        max(row.total_cost_pico, row.input_tokens, row.output_tokens, row.total_tokens)
    )
    cell.row_version = cell.contained_version = row.row_version
    return cell
