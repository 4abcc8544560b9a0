"""Migrations are applied once, in order, and never to an unknown schema."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from clickhouse import migrate as migrate_module
from clickhouse.alert_rows import alert_of_row
from clickhouse.errors import MigrationEdited, MigrationError, PolicyMissing
from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.migrate import Migration, migrate, migrations, plan
from clickhouse.rows import AlertRow
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy.recovery.alerts import read_alerts
from tests.clickhouse.rows_for_tests import observation, write
from tests.clickhouse.test_alert_rows import with_members
from tracemill.clock import now_us

TIERING = TieringSettings(hot_days=7)


@pytest.fixture
async def empty_store(clickhouse_url: str) -> AsyncIterator[Store]:
    database = f"test_{uuid.uuid4().hex[:12]}"
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    yield store
    await store.command(f"DROP DATABASE IF EXISTS {database} SYNC", use_database=False)
    await store.close()


def test_every_migration_starts_with_its_reason() -> None:
    for migration in migrations():
        assert migration.template.startswith("-- Why: "), migration.name


async def test_a_plan_changes_nothing(empty_store: Store) -> None:
    steps = await plan(empty_store, TIERING)
    assert [step.number for step in steps] == [migration.number for migration in migrations()]
    databases = await empty_store.query(
        "SELECT count() AS n FROM system.databases WHERE name = {name:String}",
        {"name": empty_store.database},
        use_database=False,
    )
    assert databases == [{"n": 0}]


async def test_all_tables_are_created_and_a_second_run_does_nothing(empty_store: Store) -> None:
    assert len(await migrate(empty_store, TIERING)) == len(migrations())
    tables = await empty_store.query(
        "SELECT name FROM system.tables WHERE database = {database:String}",
        {"database": empty_store.database},
    )
    expected = {*ROW_OF_TABLE, "observations_slim", "control_log", "schema_history"}
    assert expected <= {row["name"] for row in tables}
    assert await migrate(empty_store, TIERING) == []


async def test_a_crash_between_statements_and_history_is_repeated(empty_store: Store) -> None:
    await migrate(empty_store, TIERING)
    await empty_store.command(
        "ALTER TABLE schema_history DELETE WHERE number = 2", settings={"mutations_sync": "2"}
    )
    steps = await migrate(empty_store, TIERING)
    assert [step.number for step in steps] == [2]
    assert await plan(empty_store, TIERING) == []


async def test_status_messages_cut_by_an_older_version_are_whole_afterwards(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(migrate_module, "migrations", lambda: migrations()[:9])
        await migrate(empty_store, TIERING)
    long, longest = "ü" * 201, "ß" * 5000
    before = observation(id="o1", status_message=long)
    await write(empty_store, "observations", before)
    slim = "SELECT id, status_message FROM observations_slim FINAL ORDER BY id"
    assert await empty_store.query(slim) == [{"id": "o1", "status_message": "ü" * 200}]
    assert await migrate(empty_store, TIERING)
    await write(empty_store, "observations", observation(id="o2", status_message=longest))
    assert await empty_store.query(slim) == [
        {"id": "o1", "status_message": long},
        {"id": "o2", "status_message": longest},
    ]


async def test_observations_of_an_older_version_have_hashes_of_their_traces(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(migrate_module, "migrations", lambda: migrations()[:35])
        await migrate(empty_store, TIERING)
    await write(empty_store, "observations", observation(id="o1", trace_id="t1"))
    assert await migrate(empty_store, TIERING)
    await write(empty_store, "observations", observation(id="o2", trace_id="t2"))
    rows = (
        "SELECT id, trace_hash = reinterpretAsUInt128(sipHash128(trace_id)) AS is_right"
        " FROM observations_slim FINAL ORDER BY id"
    )
    assert await empty_store.query(rows) == [
        {"id": "o1", "is_right": 1}, {"id": "o2", "is_right": 1},
    ]  # fmt: skip
    await empty_store.command("OPTIMIZE TABLE observations_slim FINAL")
    kept = "SELECT count() AS n FROM observations_slim WHERE trace_hash != 0"
    assert await empty_store.query(kept) == [{"n": 2}]


async def test_an_edited_migration_is_refused(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty_store, TIERING)
    first, *others = migrations()
    edited = Migration(first.number, first.name, first.template + "\n-- changed my mind\n")
    monkeypatch.setattr(migrate_module, "migrations", lambda: [edited, *others])
    with pytest.raises(MigrationEdited, match="0001_observations was changed after it was applied"):
        await migrate(empty_store, TIERING)


async def test_a_database_of_a_newer_version_is_refused(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty_store, TIERING)
    *older, _ = migrations()
    monkeypatch.setattr(migrate_module, "migrations", lambda: older)
    with pytest.raises(MigrationError, match="newer"):
        await plan(empty_store, TIERING)


async def test_without_the_policy_the_error_explains_how_to_add_it(empty_store: Store) -> None:
    with pytest.raises(PolicyMissing, match="storage_configuration") as refusal:
        await migrate(empty_store, TieringSettings(storage_policy="elsewhere"))
    assert "'elsewhere'" in str(refusal.value)


async def test_other_hot_days_alter_the_tables_and_edit_no_migration(empty_store: Store) -> None:
    await migrate(empty_store, TIERING)
    steps = await migrate(empty_store, TieringSettings(hot_days=30))
    assert [step.name for step in steps] == [
        "hot_days_of_observations",
        "hot_days_of_observations_slim",
        "hot_days_of_scores",
        "hot_days_of_traces",
    ]
    rows = await empty_store.query(
        "SELECT engine_full FROM system.tables"
        " WHERE database = {database:String} AND name = 'observations'",
        {"database": empty_store.database},
    )
    assert "toIntervalDay(30) TO VOLUME 'cold'" in rows[0]["engine_full"]
    assert "toIntervalDay(1) RECOMPRESS" in rows[0]["engine_full"]
    assert await migrate(empty_store, TieringSettings(hot_days=30)) == []


async def test_alerts_of_an_older_version_are_alerts_of_budgets_afterwards(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(migrate_module, "migrations", lambda: migrations()[:15])
        await migrate(empty_store, TIERING)
    before = AlertRow(
        project_id="p", id="a", budget_id="b", name="n", scope='{"user_id":"ü\\"1"}', trace_id="t",
        period_start_us=now_us() - 5, threshold="1", spent_pico=2**63 - 1, limit_pico=10**11,
        created_us=now_us(), row_version=1,
    )  # fmt: skip
    await write(empty_store, "alerts", before)
    assert await migrate(empty_store, TIERING)
    (row,) = await read_alerts(empty_store)
    assert with_members(alert_of_row(row)) == with_members(alert_of_row(before))
    assert (row.budget_id, row.spent_pico, row.scope) == ("b", 2**63 - 1, before.scope)
