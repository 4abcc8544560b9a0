"""Define the statements that find stale hours and days, recompute them, and mark them as current.

``window_rollups`` has a row for each hour with windows: ``changed_at`` is the time of the last
insert into its windows. Its rows in levels include all inserts up to ``covered_at``, and those of
its day all up to ``day_covered_at``. Times are those of the store's clock, in milliseconds.
The row of an insert becomes visible after its windows, and before the insert is acknowledged: until
then, queries read the levels as they were before it. A recomputation that starts later has a higher
version, and its rows include all inserts up to its ``covered_at``, so an older one that ends later
cannot replace them.
Statements have the hours or days of a batch as pairs of an index into the projects, which counts
from 1, and a start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clickhouse.levels.cubes import FULL, Cube
from clickhouse.levels.schema import DAILY, HOURLY, WINDOWS, WindowColumn

NOW_MS: Final = "SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms"

_CHANGED: Final = """
  WHERE (project_id, {start}) IN (
    SELECT project_id, {start} FROM window_rollups
    WHERE changed_at > fromUnixTimestamp64Milli({{since_ms:Int64}}, 'UTC')
  )"""

_STALE_HOURS: Final = """
SELECT project_id, toInt64(toUnixTimestamp(hour_start)) AS start_s,
  toUnixTimestamp64Milli(changed_at) AS changed_ms
FROM (
  SELECT project_id, hour_start, changed_at, covered_at FROM window_rollups FINAL{changed}
)
WHERE changed_at > covered_at
  AND changed_at <= fromUnixTimestamp64Milli({{quiet_ms:Int64}}, 'UTC')
  AND toInt64(toUnixTimestamp(hour_start)) + 3600 <= intDiv({{now_ms:Int64}}, 1000)
ORDER BY start_s DESC, project_id
LIMIT {{limit:UInt32}}
"""

_STALE_DAYS: Final = """
SELECT project_id, toInt64(toUnixTimestamp(day)) AS start_s,
  toUnixTimestamp64Milli(max(changed_at)) AS changed_ms
FROM (
  SELECT project_id, toStartOfDay(hour_start) AS day, changed_at, covered_at, day_covered_at
  FROM window_rollups FINAL{changed}
)
GROUP BY project_id, day
HAVING max(changed_at) > max(day_covered_at)
  AND max(changed_at) <= fromUnixTimestamp64Milli({{quiet_ms:Int64}}, 'UTC')
  AND countIf(changed_at > covered_at) = 0
  AND toInt64(toUnixTimestamp(day)) + 86400 <= intDiv({{now_ms:Int64}}, 1000)
ORDER BY start_s DESC, project_id
LIMIT {{limit:UInt32}}
"""

COUNT_WINDOWS: Final = """
SELECT project_id, toInt64(toUnixTimestamp(toStartOfHour(window_start))) AS start_s,
  count() AS rows
FROM windows
WHERE project_id IN {projects:Array(String)}
  AND window_start >= toDateTime({from_s:Int64}, 'UTC')
  AND window_start < toDateTime({to_s:Int64}, 'UTC')
GROUP BY project_id, start_s
"""

_BUCKETS: Final = """
  WHERE project_id IN {{projects:Array(String)}}
    AND window_start >= toDateTime({{from_s:Int64}}, 'UTC')
    AND window_start < toDateTime({{to_s:Int64}}, 'UTC')
    AND (project_id, {bucket}) IN (
      SELECT {{projects:Array(String)}}[pair.1], toDateTime(pair.2, 'UTC')
      FROM (SELECT arrayJoin(arrayZip({{owners:Array(UInt16)}}, {{starts:Array(Int64)}})) AS pair)
    )"""

MARK_HOURS: Final = """
INSERT INTO window_rollups (project_id, hour_start, covered_at)
SELECT {projects:Array(String)}[pair.1], toDateTime(pair.2, 'UTC'),
  fromUnixTimestamp64Milli({quiet_ms:Int64}, 'UTC')
FROM (SELECT arrayJoin(arrayZip({owners:Array(UInt16)}, {starts:Array(Int64)})) AS pair)
"""
MARK_DAYS: Final = MARK_HOURS.replace("covered_at", "day_covered_at")
"""A day is marked in the row of its first hour."""


def stale_hours(*, is_full: bool) -> str:
    """Return the query of ended hours to recompute; ``is_full``: of all, not of changed ones."""
    return _STALE_HOURS.format(changed="" if is_full else _CHANGED.format(start="hour_start"))


def stale_days(*, is_full: bool) -> str:
    """Return the query of ended days to recompute, whose hours are all current."""
    start = "toStartOfDay(hour_start)"
    return _STALE_DAYS.format(changed="" if is_full else _CHANGED.format(start=start))


def hours_of_windows(columns: Sequence[WindowColumn]) -> str:
    """Return the statement that recomputes the full cube of hours from windows."""
    return _recomputed(HOURLY, WINDOWS, "toStartOfHour(window_start)", columns, FULL)


def reduced_hours(columns: Sequence[WindowColumn], cube: Cube) -> str:
    """Return the statement that recomputes a reduced cube of hours from its source."""
    return _recomputed(HOURLY, HOURLY, "window_start", columns, cube, cube.source)


def days_of_hours(columns: Sequence[WindowColumn], cube: Cube) -> str:
    """Return the statement that recomputes a cube of days from that of hours."""
    start = "toStartOfDay(window_start)"
    return _recomputed(DAILY, HOURLY, start, columns, cube, cube.name)


def _recomputed(
    table: str,
    source: str,
    bucket: str,
    columns: Sequence[WindowColumn],
    cube: Cube,
    source_cube: str = "",
) -> str:
    kept = [
        each
        for each in columns
        if (cube.has(each.name) if each.is_dimension else not each.computed or cube.has_percentiles)
    ]
    dimensions = "".join(f", `{each.name}`" for each in kept if each.is_dimension)
    names = "".join(f", `{each.name}`" for each in kept)
    values = "".join(
        f", `{each.name}`" if each.is_dimension else f",\n  {each.aggregate}" for each in kept
    )
    of_cube = f"\n    AND cube = '{source_cube}'" if source_cube else ""
    return (
        f"INSERT INTO {table} (project_id, cube, window_start, row_version{names})\n"
        f"SELECT project_id, '{cube.name}', {bucket} AS bucket, {{version:UInt64}}{values}\n"
        f"FROM {source} FINAL{_BUCKETS.format(bucket=bucket)}{of_cube}\n"
        f"GROUP BY project_id, bucket{dimensions}"
    )
