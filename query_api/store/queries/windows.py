"""Query windows, merged into longer steps and grouped by dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from producers.dimensions.registry import REGISTRY
from query_api.store.conditions import Column, Condition, Kind, conditions_sql
from query_api.store.levels import NOTHING, SKETCH_ROWS_MAX, Levels, level_rows_sql
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery
from query_api.store.steps import Runs, step_start_sql
from query_api.store.window_measures import MEASURES, columns_of, measures_sql

WINDOW_DIMENSIONS: Final = tuple(each for each in REGISTRY.all() if each.in_windows)
WINDOW_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {each.name: Column(each.name, Kind.TEXT) for each in WINDOW_DIMENSIONS}
)


@dataclass(frozen=True, slots=True)
class ReadWindows(StoreQuery):
    """Select measures by step and dimensions.

    ``runs`` defines the steps, and must cover the time from ``from_s`` to ``to_s``
    (exclusive). Empty windows are left out. Quantiles are those of merged sketches, with an error
    of at most 1 %. At most ``limit`` rows are selected, sorted by start.
    """

    name: ClassVar[str] = "read_windows"
    block_rows_max: ClassVar[int] = SKETCH_ROWS_MAX
    from_s: int
    to_s: int
    runs: Runs
    group_by: tuple[str, ...] = ()
    """Names of dimensions."""
    conditions: tuple[Condition, ...] = ()
    limit: int = 1000
    levels: Levels | None = None
    """Where rows are read and merged; None: from windows."""
    measures: tuple[str, ...] = tuple(MEASURES)
    """Names of measures."""
    single: Levels = NOTHING
    """Other levels, each of whose rows is a step of a group itself, with its percentiles."""

    def block_rows(self) -> int:
        return 0 if self.levels == NOTHING else SKETCH_ROWS_MAX

    def write(self, binder: Binder) -> str:
        groups = "".join(f", {WINDOW_COLUMNS[dimension].sql}" for dimension in self.group_by)
        parts = []
        if self.single != NOTHING:
            start = "toInt64(toUnixTimestamp(window_start)) AS start_s"
            measures = measures_sql(self.measures, is_single=True)
            columns = columns_of(self.measures, is_single=True)
            rows = self._level_rows(self.single, columns, binder)
            parts.append(f"SELECT {start}{groups},\n{measures}\nFROM {rows}")
        if self.levels != NOTHING:
            times, start = step_start_sql(self.runs, "window_start", binder)
            measures = measures_sql(self.measures)
            parts.append(f"{times}SELECT {start}{groups},\n{measures}\nFROM {self._rows(binder)}")
        ending = (
            f"\nGROUP BY start_s{groups}\n"
            "HAVING sum(observation_count) != 0 OR sum(total_cost) != 0"
        )
        text = "\nUNION ALL\n".join(f"{part}{ending}" for part in parts)
        if len(parts) > 1:
            text = f"SELECT *\nFROM (\n{text}\n)"
        limit = binder.bind(self.limit, "UInt32")
        return f"{text}\nORDER BY start_s{groups}\nLIMIT {limit}"

    def _level_rows(self, levels: Levels, columns: tuple[str, ...], binder: Binder) -> str:
        return level_rows_sql(levels, columns, self.group_by, self.conditions, binder)

    def _rows(self, binder: Binder) -> str:
        """Return the table, or subquery, with the rows that are merged."""
        if self.levels is not None:
            return self._level_rows(self.levels, columns_of(self.measures), binder)
        return (
            f"windows FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND window_start >= toDateTime({binder.bind(self.from_s, 'UInt32')}, 'UTC')"
            f"\n  AND window_start < toDateTime({binder.bind(self.to_s, 'UInt32')}, 'UTC')"
            f"{conditions_sql(self.conditions, binder)}"
        )
