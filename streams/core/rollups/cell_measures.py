"""The measures of a window cell that only some observations have.

Most cells, such as those of plain spans, have none.
"""

from __future__ import annotations

from typing import Any, TypeVar

from clickhouse.rows import WindowRow
from streams.core.rollups.amounts import row_amount, row_amounts
from streams.core.rollups.deltas import WindowDelta
from streams.core.rollups.measures import add_error
from streams.core.rollups.sketch import bins_of, state_hex
from streams.core.rollups.undo import Undo

KeyT = TypeVar("KeyT", str, int)


class CellMeasures:
    """Totals of a window."""

    __slots__ = (
        "app_saved_pico",
        "cache_exact",
        "cache_miss",
        "cache_semantic",
        "cached_saved_pico",
        "error_types",
        "rate_bins",
        "ttft_bins",
        "unpriced",
    )

    def __init__(self) -> None:
        self.unpriced = 0
        self.cache_exact = 0
        self.cache_semantic = 0
        self.cache_miss = 0
        self.cached_saved_pico = 0
        self.app_saved_pico = 0
        self.ttft_bins: dict[int, int] = {}
        self.rate_bins: dict[int, int] = {}
        self.error_types: dict[str, int] = {}

    def restore(self, numbers: tuple[int, int, int, int, int, int]) -> None:
        """Restore the values that ``apply`` recorded in ``undo``."""
        (
            self.unpriced,
            self.cache_exact,
            self.cache_semantic,
            self.cache_miss,
            self.cached_saved_pico,
            self.app_saved_pico,
        ) = numbers

    def apply(self, change: WindowDelta, undo: Undo) -> None:
        """Add a change; the previous values are added to ``undo``."""
        numbers = (
            self.unpriced,
            self.cache_exact,
            self.cache_semantic,
            self.cache_miss,
            self.cached_saved_pico,
            self.app_saved_pico,
        )
        undo.append((self, None, numbers))
        self.unpriced += change.unpriced
        self.cache_exact += change.cache_exact
        self.cache_semantic += change.cache_semantic
        self.cache_miss += change.cache_miss
        self.cached_saved_pico += change.cached_saved_pico
        self.app_saved_pico += change.app_saved_pico
        add_counts(self.ttft_bins, change.ttft_bins, undo)
        add_counts(self.rate_bins, change.rate_bins, undo)
        if change.error_types:
            named = dict.fromkeys(self.error_types, 0)
            for error_type, count in change.error_types.items():
                add_error(named, error_type, count)
            add_counts(self.error_types, named, undo)

    def columns(self) -> dict[str, Any]:
        """Return the columns of the window's row."""
        return {
            "unpriced_count": row_amount(self.unpriced),
            "cache_exact_count": row_amount(self.cache_exact),
            "cache_semantic_count": row_amount(self.cache_semantic),
            "cache_miss_count": row_amount(self.cache_miss),
            "cached_saved_pico": row_amount(self.cached_saved_pico),
            "app_saved_pico": row_amount(self.app_saved_pico),
            "ttft_state_hex": state_hex(self.ttft_bins) if self.ttft_bins else "",
            "rate_state_hex": state_hex(self.rate_bins) if self.rate_bins else "",
            "error_types": row_amounts(self.error_types),
        }


def measures_of(row: WindowRow) -> CellMeasures | None:
    """Restore the measures of a row; None if it has none.

    Raises:
        ValueError: a sketch is invalid.
    """
    measures = CellMeasures()
    measures.unpriced = row.unpriced_count
    measures.cache_exact = row.cache_exact_count
    measures.cache_semantic = row.cache_semantic_count
    measures.cache_miss = row.cache_miss_count
    measures.cached_saved_pico = row.cached_saved_pico
    measures.app_saved_pico = row.app_saved_pico
    if row.ttft_state_hex:
        measures.ttft_bins = bins_of(bytes.fromhex(row.ttft_state_hex))
    if row.rate_state_hex:
        measures.rate_bins = bins_of(bytes.fromhex(row.rate_state_hex))
    measures.error_types = {name: count for name, count in row.error_types.items() if count}
    is_empty = not any(getattr(measures, name) for name in CellMeasures.__slots__)
    return None if is_empty else measures


def add_counts(totals: dict[KeyT, int], change: dict[KeyT, int], undo: Undo) -> None:
    """Add counts by key; remove keys whose total becomes zero."""
    for key, amount in change.items():
        before = totals.get(key, 0)
        undo.append((totals, key, before))
        total = before + amount
        if total:
            totals[key] = total
        else:
            totals.pop(key, None)
