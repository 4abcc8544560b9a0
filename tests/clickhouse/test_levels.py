"""Hours and days are exact sums of windows, whatever is late, repeated or interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from random import Random
from typing import Any

import pytest

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreUnavailable
from clickhouse.levels import metrics
from clickhouse.levels.cubes import CUBES, FULL, cube_with
from clickhouse.levels.rollups import Rollups
from clickhouse.levels.schema import DAILY, HOURLY, follow_windows
from clickhouse.levels.settings import LevelSettings
from clickhouse.levels.statements import NOW_MS
from clickhouse.store import Store
from tests.clickhouse.levels_for_tests import (
    DAY_S,
    MONDAY_S,
    SETTINGS,
    insert,
    levels_equal_windows,
    random_windows,
    recompute,
    rollups_of,
    totals,
    window,
)


async def stale(store: Store) -> dict[str, int]:
    (found,) = await store.query(
        "SELECT countIf(changed_at > covered_at) AS hours,"
        " count(DISTINCT if(changed > covered, (project_id, day), NULL)) AS days"
        " FROM (SELECT *, toStartOfDay(hour_start) AS day,"
        " max(changed_at) OVER (PARTITION BY project_id, day) AS changed,"
        " max(day_covered_at) OVER (PARTITION BY project_id, day) AS covered"
        " FROM window_rollups FINAL)"
    )
    return dict(found)


async def rows_in(store: Store, table: str) -> int:
    return int((await store.query(f"SELECT count() AS n FROM {table} FINAL"))[0]["n"])


async def test_hours_and_days_are_the_sums_of_windows(clickhouse_store: Store) -> None:
    await insert(clickhouse_store, random_windows(Random(1), 2_000))
    await recompute(clickhouse_store)
    await levels_equal_windows(clickhouse_store)
    assert await stale(clickhouse_store) == {"hours": 0, "days": 0}


async def test_late_rows_and_corrections_are_included(clickhouse_store: Store) -> None:
    random = Random(2)
    for _ in range(3):
        await insert(clickhouse_store, random_windows(random, 150))
        await recompute(clickhouse_store)
    corrected = window(MONDAY_S, [], row_version=9, observation_count=0)
    await insert(clickhouse_store, [window(MONDAY_S, total_cost_pico=5)])
    await recompute(clickhouse_store)
    await insert(clickhouse_store, [corrected])
    await recompute(clickhouse_store)
    await levels_equal_windows(clickhouse_store)


async def test_a_replay_changes_nothing(clickhouse_store: Store) -> None:
    rows = random_windows(Random(3), 200)
    await insert(clickhouse_store, rows)
    await recompute(clickhouse_store)
    before = [await totals(clickhouse_store, table, "toStartOfHour") for table in (HOURLY, DAILY)]
    await insert(clickhouse_store, rows)
    await recompute(clickhouse_store)
    after = [await totals(clickhouse_store, table, "toStartOfHour") for table in (HOURLY, DAILY)]
    assert after == before


async def test_hours_that_changed_lately_or_have_not_ended_wait(clickhouse_store: Store) -> None:
    far_ahead = 4_000_000_000 // 3_600 * 3_600
    await insert(clickhouse_store, [window(MONDAY_S), window(far_ahead)])
    await recompute(clickhouse_store, LevelSettings(quiet_s=3_600))
    assert await rows_in(clickhouse_store, HOURLY) == 0
    await recompute(clickhouse_store)
    assert await rows_in(clickhouse_store, HOURLY) == len(CUBES)
    assert (await stale(clickhouse_store))["hours"] == 1


class Refusing:
    """A store that refuses to recompute an hour of a project, and batches with it."""

    def __init__(self, store: Store, refused: tuple[str, int], error: BaseException) -> None:
        self._store = store
        self._refused = refused
        self._error = error
        self.database = store.database
        self.query = store.query

    async def command(
        self, sql: str, params: Mapping[str, Any], settings: Mapping[str, str] | None = None
    ) -> Any:
        buckets = zip(params["owners"], params["starts"], strict=True)
        if self._refused in {(params["projects"][owner - 1], start) for owner, start in buckets}:
            raise self._error
        await self._store.command(sql, params, settings=settings)


async def test_only_days_whose_hours_are_all_current_are_recomputed(
    clickhouse_store: Store,
) -> None:
    rows = [window(MONDAY_S), window(MONDAY_S + 3_600), window(MONDAY_S + DAY_S, project_id="q")]
    await insert(clickhouse_store, rows)
    error = QueryRejected(1, "strange")
    refusing = Refusing(clickhouse_store, ("p", MONDAY_S + 3_600), error)
    await rollups_of(refusing).recompute()
    (day,) = await totals(clickhouse_store, DAILY, "toStartOfDay", where="cube = 'full'")
    assert day["start_s"] == MONDAY_S + DAY_S


class Interrupted(BaseException):
    """The process was killed."""


class Failing:
    """A store whose n-th statement is interrupted, before or after its effect."""

    def __init__(self, store: Store, calls: int, *, is_after: bool, error: BaseException) -> None:
        self._store = store
        self._calls = calls
        self.query = store.query
        self._is_after = is_after
        self._error = error
        self.database = store.database

    async def command(
        self, sql: str, params: Mapping[str, Any], settings: Mapping[str, str] | None = None
    ) -> None:
        self._calls -= 1
        if self._calls == 0 and not self._is_after:
            raise self._error
        await self._store.command(sql, params, settings=settings)
        if self._calls == 0:
            raise self._error


@pytest.mark.parametrize(
    ("error", "is_after"), [(Interrupted(), True), (StoreUnavailable("the store is down"), False)]
)
async def test_a_crash_between_any_two_statements_changes_nothing(
    clickhouse_store: Store, error: BaseException, is_after: bool
) -> None:
    rows = [
        window(MONDAY_S + 3_600 * n, total_cost_pico=n, project_id=p)
        for n in (1, 2)
        for p in ("p", "q")
    ]
    for calls in count(1):
        await insert(clickhouse_store, [*rows, window(MONDAY_S + 60 * calls)])
        failing = Failing(clickhouse_store, calls, is_after=is_after, error=error)
        try:
            assert await rollups_of(failing).recompute()
            break
        except (Interrupted, StoreUnavailable):
            await recompute(clickhouse_store)
            await levels_equal_windows(clickhouse_store)
    assert calls == 2 * (len(CUBES) + 1) + 1
    assert await stale(clickhouse_store) == {"hours": 0, "days": 0}


async def test_two_processes_may_recompute_the_same(clickhouse_store: Store) -> None:
    await insert(clickhouse_store, random_windows(Random(4), 500))
    await asyncio.gather(*(recompute(clickhouse_store) for _ in range(3)))
    await levels_equal_windows(clickhouse_store)


class Overtaken:
    """A store before whose n-th statement something else happens."""

    def __init__(self, store: Store, commands: int, before: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self.commands = commands
        self._before = before
        self.database = store.database
        self.query = store.query

    async def command(
        self, sql: str, params: Mapping[str, Any], settings: Mapping[str, str] | None = None
    ) -> None:
        self.commands -= 1
        if self.commands == 0:
            await self._before()
        await self._store.command(sql, params, settings=settings)


@pytest.mark.parametrize("at", [1, 2, len(CUBES) + 1, len(CUBES) + 2, 2 * len(CUBES) + 2])
async def test_a_process_that_is_overtaken_replaces_nothing_newer(
    clickhouse_store: Store, at: int
) -> None:
    """Before its statement ``at``, windows change, and another process recomputes them."""

    async def change_and_recompute() -> None:
        await next_millisecond(clickhouse_store)
        changed = window(MONDAY_S, total_cost_pico=5, row_version=2)
        await insert(clickhouse_store, [changed, window(MONDAY_S + 3_600, model="m9")])
        await recompute(clickhouse_store)

    await insert(clickhouse_store, [window(MONDAY_S), window(MONDAY_S + 3_600)])
    overtaken = Overtaken(clickhouse_store, at, change_and_recompute)
    assert await rollups_of(overtaken).recompute()
    assert overtaken.commands <= 0, "it was not overtaken"
    assert await stale(clickhouse_store) == {"hours": 0, "days": 0}
    await levels_equal_windows(clickhouse_store)


async def next_millisecond(store: Store) -> None:
    """Wait until the store's clock goes on: no insert may have the time of an earlier pass."""
    first = await store.query(NOW_MS)
    while await store.query(NOW_MS) == first:
        pass


async def test_work_is_done_in_bounded_batches_and_passes(clickhouse_store: Store) -> None:
    await insert(clickhouse_store, random_windows(Random(5), 100))
    small = LevelSettings(
        quiet_s=0, pause_ratio=0, buckets_max=30, batch_rows_max=3, batch_buckets_max=2
    )
    reached = metrics.LIMIT_REACHED.labels("buckets_max")
    before = reached._value.get()
    await recompute(clickhouse_store, small)
    assert reached._value.get() > before
    await levels_equal_windows(clickhouse_store)


@pytest.mark.parametrize("error", [QueryLimitReached(241, "memory"), QueryRejected(1, "strange")])
async def test_an_hour_that_fails_delays_no_other(
    clickhouse_store: Store, error: BaseException
) -> None:
    rows = [
        window(MONDAY_S + 3_600 * n, project_id=project) for n in range(5) for project in ("p", "q")
    ]
    await insert(clickhouse_store, rows)
    refusing = Refusing(clickhouse_store, ("q", MONDAY_S), error)
    failures = metrics.FAILURES._value.get()
    await rollups_of(refusing).recompute()
    assert metrics.FAILURES._value.get() == failures + 1
    assert await stale(clickhouse_store) == {"hours": 1, "days": 1}
    await recompute(clickhouse_store)
    await levels_equal_windows(clickhouse_store)


async def test_deleted_projects_are_left_out(clickhouse_store: Store) -> None:
    class Deleted:
        ids = frozenset({b"q"})

    await insert(clickhouse_store, [window(MONDAY_S), window(MONDAY_S, project_id="q")])
    rollups = Rollups(clickhouse_store, SETTINGS, Deleted(), insert_max_s=0)
    assert await rollups.recompute()
    found = await clickhouse_store.query(f"SELECT DISTINCT project_id FROM {HOURLY}")
    assert found == [{"project_id": "p"}]


async def test_levels_follow_new_columns_of_windows(clickhouse_store: Store) -> None:
    store = clickhouse_store
    await insert(store, [window(MONDAY_S)])
    await recompute(store)
    await store.command(
        "ALTER TABLE windows ADD COLUMN flavour String, ADD COLUMN sips UInt64,"
        " ADD COLUMN kinds Map(String, Int64), ADD COLUMN last_id String,"
        " MODIFY ORDER BY (project_id, window_start, environment, model, name, flavour)"
    )
    await store.command("ALTER TABLE windows MODIFY COLUMN flavour DEFAULT 'plain'")
    assert await rollups_of(store).recompute()  # it waits for the migration
    await follow_windows(store)
    await follow_windows(store)
    await store.command(
        "INSERT INTO windows (project_id, window_start, environment, model, name, flavour, sips,"
        " kinds, last_id, row_version)"
        " SELECT 'p', toDateTime({at:UInt32}, 'UTC') + number, 'e', 'm', 'n',"
        " if(number < 2, 'sweet', 'salty'), 4, map('tea', 1), toString(number), 1 FROM numbers(3)",
        {"at": MONDAY_S},
    )
    await recompute(store)
    for table in (HOURLY, DAILY):
        assert await store.query(
            f"SELECT flavour, sips, kinds, last_id FROM {table} FINAL"
            " WHERE cube = 'full' ORDER BY flavour"
        ) == [
            {"flavour": "plain", "sips": 0, "kinds": {}, "last_id": ""},
            {"flavour": "salty", "sips": 4, "kinds": {"tea": 1}, "last_id": "2"},
            {"flavour": "sweet", "sips": 8, "kinds": {"tea": 2}, "last_id": "1"},
        ]


def test_the_preferred_cube_has_the_dimensions() -> None:
    assert cube_with([]).name == "total"
    assert cube_with(["model"]).name == "model_only"
    assert cube_with(["name"]).name == "name_only"
    assert cube_with(["environment"]).name == cube_with(["model", "environment"]).name == "model"
    assert cube_with(["name", "environment"]).name == "name"
    assert cube_with(["name", "model"]) == cube_with(["prompt_name"]) == FULL
    assert len({cube.name for cube in CUBES}) == len(CUBES)
