"""Windows, levels that are recomputed without waiting, and the totals of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import msgspec

from clickhouse.levels.cubes import CUBES
from clickhouse.levels.rollups import Rollups
from clickhouse.levels.schema import DAILY, HOURLY
from clickhouse.levels.settings import LevelSettings
from clickhouse.rows import WindowRow
from clickhouse.store import Store
from streams.core.rollups.sketch import key_of, state_hex

DAY_S = 86_400
MONDAY_S = 1_795_392_000  # 2026-11-23T00:00:00Z
SETTINGS = LevelSettings(quiet_s=0, pause_ratio=0)


def window(at_s: int, values_us: Sequence[float] = (1e6,), **fields: Any) -> WindowRow:
    bins: dict[int, int] = {}
    for value in values_us:
        bins[key_of(value)] = bins.get(key_of(value), 0) + 1
    given = {
        "project_id": "p", "environment": "production", "model": "m1", "name": "call",
        "row_version": 1, "observation_count": len(values_us),
        "latency_state_hex": state_hex(bins), **fields,
    }  # fmt: skip
    return WindowRow(window_s=at_s, **given)


def random_windows(
    random: Random, count: int, days: int = 3, projects: Sequence[str] = ("p", "q")
) -> list[WindowRow]:
    """Return windows of several days, projects and dimensions, some with equal keys."""
    return [
        window(
            MONDAY_S + random.randrange(days * DAY_S // 10) * 10,
            [random.lognormvariate(13, 1) for _ in range(random.randrange(4))],
            project_id=random.choice(projects),
            model=random.choice(("", "m1", "m2", "m3")),
            name=random.choice(("call", "search", "plan", "ü' \\")),
            environment=random.choice(("production", "staging")),
            row_version=random.randrange(1, 4),
            error_count=random.randrange(2),
            total_cost_pico=random.randrange(10**15),
            usage={"input": random.randrange(2**62), "output": random.randrange(1000)},
        )
        for _ in range(count)
    ]


async def insert(store: Store, rows: Iterable[WindowRow]) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(WindowRow)]
    await store.insert_lines("windows", fields, b"\n".join(map(msgspec.json.encode, rows)))


_TOTALS = """
SELECT project_id, toUnixTimestamp({start}(window_start)) AS start_s{dimensions},
  sum(observation_count) AS count, sum(error_count) AS errors, toString(sum(total_cost)) AS cost,
  sumMap(mapApply((k, v) -> (k, toInt128(v)), usage)) AS tokens,
  toString(quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_state)) AS latency_us
FROM {table} FINAL WHERE {where}
GROUP BY project_id, start_s{dimensions} ORDER BY project_id, start_s{dimensions}
"""


async def totals(
    store: Store, table: str, start: str, dimensions: Sequence[str] = (), where: str = "1"
) -> list[dict[str, Any]]:
    named = "".join(f", {name}" for name in dimensions)
    sql = _TOTALS.format(table=table, start=start, dimensions=named, where=where)
    return await store.query(sql)


async def levels_equal_windows(store: Store) -> None:
    """Every cube of every level has the totals of windows, by all of its dimensions."""
    names = ("environment", "model", "name")
    for table, start in ((HOURLY, "toStartOfHour"), (DAILY, "toStartOfDay")):
        for cube in CUBES:
            dimensions = [name for name in names if cube.has(name)]
            expected = await totals(store, "windows", start, dimensions)
            assert expected
            found = await totals(store, table, start, dimensions, f"cube = '{cube.name}'")
            assert found == expected, (table, cube.name)


def rollups_of(store: Any, settings: LevelSettings = SETTINGS) -> Rollups:
    """Return rollups for inserts that are visible at once."""
    return Rollups(store, settings, insert_max_s=0)


async def recompute(store: Store, settings: LevelSettings = SETTINGS) -> None:
    """Recompute until nothing is stale."""
    rollups = rollups_of(store, settings)
    for _ in range(100):
        if await rollups.recompute():
            return
    raise AssertionError("still stale after 100 passes")
