"""Rows of many old days have few partitions, and an upgrade loses none."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from clickhouse import migrate as migrate_module
from clickhouse.migrate import migrate, migrations, pending
from clickhouse.rows import SpendRow, TraceRow, WindowRow
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from tests.clickhouse.rows_for_tests import DAY_US, observation, write
from tracemill.clock import now_us

TIERING = TieringSettings(hot_days=7)
DAYS = 3_600
BEFORE = 14
"""The last migration before old days shared partitions."""
SKETCH = "02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000"
TABLES = ("observations", "observations_slim", "traces", "windows", "spend")


@pytest.fixture
async def old_store(clickhouse_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A database as the version before left it."""
    database = f"test_{uuid.uuid4().hex[:12]}"
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    with monkeypatch.context() as older:
        older.setattr(migrate_module, "migrations", lambda: migrations()[:BEFORE])
        await migrate(store, TIERING)
    yield store
    await store.command(f"DROP DATABASE IF EXISTS {database} SYNC", use_database=False)
    await store.close()


async def write_days(store: Store, now: int, every: int, version: int = 1) -> None:
    """Rows of every table, of one day in ``every`` of the last ten years."""
    starts = [now - age * DAY_US for age in range(0, DAYS, every)]
    rows: dict[str, list[msgspec.Struct]] = {
        "observations": [
            observation(id=f"o{age}", start_us=start, row_version=version, total_cost_pico=age)
            for age, start in enumerate(starts)
        ],
        "traces": [
            TraceRow(project_id="p", id=f"t{age}", start_us=start, row_version=version)
            for age, start in enumerate(starts)
        ],
        "windows": [
            WindowRow(
                project_id="p",
                window_s=start // 60_000_000 * 60,
                environment="e",
                model="m",
                name="n",
                row_version=version,
                latency_state_hex=SKETCH,
            )
            for start in starts
        ],
        "spend": [
            SpendRow(
                project_id="p",
                bucket_s=start // 900_000_000 * 900,
                user_id="u",
                model="m",
                environment="e",
                row_version=version,
                total_cost_pico=age,
            )
            for age, start in enumerate(starts)
        ],
    }
    for table, of_table in rows.items():
        await write(store, table, *of_table)


async def partitions(store: Store) -> dict[str, int]:
    rows = await store.query(
        "SELECT table, uniqExact(partition_id) AS n FROM system.parts"
        " WHERE active AND database = {database:String} GROUP BY table",
        {"database": store.database},
    )
    return {row["table"]: row["n"] for row in rows if row["table"] in TABLES}


async def contents(store: Store) -> dict[str, object]:
    found = {}
    for table, column in (
        ("observations", "(id, start_time, total_cost, inserted_at)"),
        ("observations_slim", "(id, start_time, total_cost, inserted_at)"),
        ("traces", "(id, start_time, inserted_at)"),
        ("windows", "(window_start, inserted_at)"),
        ("spend", "(bucket_start, total_cost, inserted_at)"),
    ):
        (row,) = await store.query(
            f"SELECT count() AS n, sum(cityHash64{column}) AS content FROM {table} FINAL"
            " SETTINGS do_not_merge_across_partitions_select_final = 1"
        )
        found[table] = (row["n"], row["content"])
    return found


async def test_rows_of_ten_years_make_few_partitions(clickhouse_store: Store) -> None:
    await write_days(clickhouse_store, now_us(), every=1)
    counted = await partitions(clickhouse_store)
    assert counted.keys() == set(TABLES)
    # Years, and the days or months since the month before this one.
    assert counted["observations"] <= 11 + 62
    assert counted["windows"] <= 11 + 2
    assert counted["observations"] == counted["traces"] == counted["observations_slim"]
    assert counted["windows"] == counted["spend"]


async def test_rows_of_an_older_version_move_as_they_are(old_store: Store) -> None:
    now = now_us()
    await write_days(old_store, now, every=360)
    before = await contents(old_store)
    assert (await partitions(old_store))["observations"] == 10
    await migrate(old_store, TIERING)
    assert await contents(old_store) == before
    assert (await partitions(old_store))["observations"] <= 11
    await write_days(old_store, now, every=360, version=2)
    after = await contents(old_store)
    assert {table: n for table, (n, _) in after.items()} == {
        table: n for table, (n, _) in before.items()
    }


async def test_an_interrupted_move_is_resumed(old_store: Store) -> None:
    await write_days(old_store, now_us(), every=900)
    before = await contents(old_store)
    # As after a crash with the first partition copied, the second copied and dropped.
    await old_store.command(
        "CREATE TABLE traces_repartitioned AS traces"
        " ENGINE = ReplacingMergeTree(row_version, is_deleted)"
        " PARTITION BY if(toDate(start_time) < toDate('2020-01-01'),"
        " toStartOfYear(start_time), toDate(start_time))"
        " ORDER BY (project_id, toDate(start_time), id)"
    )
    ids = await old_store.query(
        "SELECT DISTINCT partition_id FROM system.parts WHERE active AND table = 'traces'"
        " AND database = currentDatabase() ORDER BY partition_id LIMIT 2"
    )
    first, second = (row["partition_id"] for row in ids)
    columns = "project_id, id, start_time, row_version, is_deleted, inserted_at"
    for partition_id in (first, second):
        await old_store.command(
            f"INSERT INTO traces_repartitioned ({columns}) SELECT {columns} FROM traces"
            f" WHERE _partition_id = '{partition_id}'"
        )
    await old_store.command(f"ALTER TABLE traces DROP PARTITION ID '{second}'")
    await migrate(old_store, TIERING)
    assert await contents(old_store) == before
    assert await pending(old_store) == []


async def test_versions_of_a_row_meet_across_the_border_of_old_days(
    clickhouse_store: Store,
) -> None:
    (row,) = await clickhouse_store.query(
        "SELECT toDate(extract(partition_key, '\\\\d{4}-\\\\d{2}-\\\\d{2}')) AS day"
        " FROM system.tables"
        " WHERE database = {database:String} AND name = 'observations'",
        {"database": clickhouse_store.database},
    )
    border = datetime(row["day"].year, row["day"].month, row["day"].day, tzinfo=UTC)
    border_us = int(border.timestamp()) * 1_000_000
    for version in (1, 2):
        for start_us in (border_us - 1, border_us):
            await write(
                clickhouse_store,
                "observations",
                observation(id=f"o{start_us}", start_us=start_us, row_version=version),
            )
    rows = await clickhouse_store.query(
        "SELECT row_version FROM observations FINAL"
        " SETTINGS do_not_merge_across_partitions_select_final = 1"
    )
    assert rows == [{"row_version": 2}, {"row_version": 2}]
