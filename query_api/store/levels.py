"""Split a time range into days and hours that are rolled up, and windows for the rest.

An hour or day is read from its level only if its rows there are current, and it is within one step
of the query. So the result is that of windows alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

import msgspec

from clickhouse.levels.cubes import Cube, cube_with
from clickhouse.levels.schema import DAILY, HOURLY, WINDOWS
from query_api.store.conditions import Condition, conditions_sql
from query_api.store.reader import Reader
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
WINDOW_S: Final = 10
RANGES_MAX: Final = 24
"""Maximum ranges in a condition; with more, the query lists the starts of rows instead."""

SKETCH_ROWS_MAX: Final = 1_024
"""Maximum rows with sketches that the store reads at a time: in memory, a sketch has kilobytes."""

Range = tuple[int, int]
"""Start and end (exclusive), in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Disjoint ranges of a query, by the table that is read for them."""

    windows: tuple[Range, ...] = ()
    hourly: tuple[Range, ...] = ()
    daily: tuple[Range, ...] = ()

    def tables(self) -> Iterator[tuple[str, tuple[Range, ...], int]]:
        """Yield the tables to read, with their ranges and the length of their rows."""
        for table, ranges, row_s in (
            (WINDOWS, self.windows, WINDOW_S),
            (HOURLY, self.hourly, HOUR_S),
            (DAILY, self.daily, DAY_S),
        ):
            if ranges:
                yield table, ranges, row_s


NOTHING: Final = Levels()


class _StaleDay(msgspec.Struct):
    day_s: int
    is_stale: bool
    stale_hours: list[int]


@dataclass(frozen=True, slots=True)
class FindStale(StoreQuery):
    """Select the days whose rows, or those of some of their hours, are not current in levels.

    Hours without windows are current.
    """

    name: ClassVar[str] = "find_stale"
    from_s: int
    to_s: int

    def write(self, binder: Binder) -> str:
        return (
            "SELECT toInt64(toUnixTimestamp(toStartOfDay(hour_start))) AS day_s,\n"
            "  toBool(max(changed) > max(day_covered)) AS is_stale,\n"
            "  groupArrayIf(toInt64(toUnixTimestamp(hour_start)), changed > covered)"
            " AS stale_hours\n"
            "FROM (\n"
            "  SELECT hour_start, max(changed_at) AS changed, max(covered_at) AS covered,\n"
            "    max(day_covered_at) AS day_covered\n"
            f"  FROM window_rollups\n  WHERE {OF_PROJECT}\n"
            f"    AND hour_start >= toDateTime({binder.bind(self.from_s, 'UInt32')}, 'UTC')\n"
            f"    AND hour_start < toDateTime({binder.bind(self.to_s, 'UInt32')}, 'UTC')\n"
            "  GROUP BY hour_start\n"
            ")\n"
            "GROUP BY day_s\n"
            "HAVING is_stale OR notEmpty(stale_hours)"
        )


async def levels_of(
    reader: Reader, project_id: str, from_s: int, to_s: int, bounds_s: Sequence[int]
) -> Levels | None:
    """Return the levels to read for steps with these bounds; None if only windows can be used.

    Raises like ``Reader.rows``.
    """
    if to_s - from_s < HOUR_S or not any(
        end - begin >= HOUR_S for begin, end in pairwise(bounds_s)
    ):
        return None
    query = FindStale(project_id, from_s // DAY_S * DAY_S, to_s)
    stale = await reader.rows(query, _StaleDay)
    return split(
        from_s,
        to_s,
        bounds_s,
        {each.day_s for each in stale if each.is_stale},
        {hour_s for each in stale for hour_s in each.stale_hours},
    )


def split(
    from_s: int,
    to_s: int,
    bounds_s: Collection[int],
    stale_days: Collection[int],
    stale_hours: Collection[int],
) -> Levels:
    """Split a range of steps with ``bounds_s`` into levels, the longest ones first."""
    daily = _whole(from_s, to_s, DAY_S, _excluded(DAY_S, bounds_s, stale_days))
    excluded = _excluded(HOUR_S, bounds_s, stale_hours)
    windows: list[Range] = []
    hourly: list[Range] = []
    for begin_s, end_s in _between(from_s, to_s, daily):
        hours = _whole(begin_s, end_s, HOUR_S, excluded)
        hourly += hours
        windows += _between(begin_s, end_s, hours)
    return Levels(tuple(windows), tuple(hourly), tuple(daily))


def have_percentiles(group_by: Sequence[str], conditions: tuple[Condition, ...]) -> bool:
    """Return whether the rows of levels that are read are those of single groups.

    Such rows have the percentiles of their group.
    """
    cube = _cube_of(group_by, conditions)
    return cube.has_percentiles and cube.only == frozenset(group_by)


def split_by_steps(levels: Levels, bounds_s: Collection[int]) -> tuple[Levels, Levels]:
    """Return the hours and days that are steps themselves, and the rest."""
    hours, other_hours = _steps_of(levels.hourly, HOUR_S, bounds_s)
    days, other_days = _steps_of(levels.daily, DAY_S, bounds_s)
    return Levels(hourly=hours, daily=days), Levels(levels.windows, other_hours, other_days)


def _steps_of(
    ranges: Sequence[Range], length_s: int, bounds_s: Collection[int]
) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """Split ranges of whole buckets into those that are steps, and others."""
    bounds = frozenset(bounds_s)
    steps: list[Range] = []
    others: list[Range] = []
    for begin_s, end_s in ranges:
        for start_s in range(begin_s, end_s, length_s):
            is_step = start_s in bounds and start_s + length_s in bounds
            found = steps if is_step else others
            if found and found[-1][1] == start_s:
                found[-1] = (found[-1][0], start_s + length_s)
            else:
                found.append((start_s, start_s + length_s))
    return tuple(steps), tuple(others)


def level_rows_sql(
    levels: Levels,
    columns: Sequence[str],
    group_by: Sequence[str],
    conditions: tuple[Condition, ...],
    binder: Binder,
) -> str:
    """Return a subquery of the rows of all levels, with their start, dimensions and columns.

    Maps of integers are converted to 128 bits, because levels have such sums.
    """
    cube = f"\n  AND cube = '{_cube_of(group_by, conditions).name}'"
    selected = ", ".join(("window_start", *group_by, *map(_selected, columns)))
    parts = []
    for table, ranges, row_s in levels.tables():
        of_cube = "" if table == WINDOWS else cube
        parts.append(
            f"SELECT {selected}\nFROM {table} FINAL\nWHERE {OF_PROJECT}{of_cube}"
            f"\n  AND {_in_ranges(ranges, row_s, binder)}{conditions_sql(conditions, binder)}"
        )
    union = "\nUNION ALL\n".join(parts)
    return f"(\n{union}\n)"


def _cube_of(group_by: Sequence[str], conditions: tuple[Condition, ...]) -> Cube:
    return cube_with([*group_by, *(each.column.sql for each in conditions)])


def _selected(column: str) -> str:
    is_map = column in _MAPS
    return f"mapApply((k, v) -> (k, toInt128(v)), {column}) AS {column}" if is_map else column


_MAPS: Final = frozenset({"usage", "error_types"})


def _in_ranges(ranges: Sequence[Range], row_s: int, binder: Binder) -> str:
    """Return the condition that a row of ``row_s`` starts in one of the ranges."""
    begins, ends = (binder.bind([each[at] for each in ranges], "Array(UInt32)") for at in (0, 1))
    if len(ranges) > RANGES_MAX:
        return (
            "window_start IN (SELECT toDateTime(arrayJoin(arrayFlatten(arrayMap("
            f"(b, e) -> range(b, e, {row_s}), {begins}, {ends}))), 'UTC'))"
        )
    conditions = (
        f"window_start >= toDateTime({begins}[{at}], 'UTC')"
        f" AND window_start < toDateTime({ends}[{at}], 'UTC')"
        for at in range(1, len(ranges) + 1)
    )
    return f"({' OR '.join(conditions)})"


def _excluded(length_s: int, bounds_s: Collection[int], stale: Collection[int]) -> list[int]:
    """Return the buckets, sorted, that are stale or contain a bound of a step."""
    cut = {bound_s // length_s * length_s for bound_s in bounds_s if bound_s % length_s}
    return sorted(cut.union(stale))


def _whole(from_s: int, to_s: int, length_s: int, excluded: Sequence[int]) -> list[Range]:
    """Return the ranges of whole buckets in a range, without the excluded ones."""
    begin_s = -(-from_s // length_s) * length_s
    end_s = to_s // length_s * length_s
    ranges: list[Range] = []
    for at in range(bisect_left(excluded, begin_s), bisect_left(excluded, end_s)):
        if begin_s < excluded[at]:
            ranges.append((begin_s, excluded[at]))
        begin_s = excluded[at] + length_s
    if begin_s < end_s:
        ranges.append((begin_s, end_s))
    return ranges


def _between(from_s: int, to_s: int, ranges: Sequence[Range]) -> list[Range]:
    """Return the parts of a range that ``ranges`` do not cover."""
    begins = (from_s, *(end_s for _, end_s in ranges))
    ends = (*(begin_s for begin_s, _ in ranges), to_s)
    gaps = zip(begins, ends, strict=True)
    return [(begin_s, end_s) for begin_s, end_s in gaps if begin_s < end_s]
