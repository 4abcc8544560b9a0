"""A score replaces earlier versions of its id in the real store, in any order of arrival."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from itertools import permutations

import msgspec
import pytest

from clickhouse import migrate as migrate_module
from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.migrate import migrate, migrations
from clickhouse.rows import ScoreRow
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from streams.core.observations.scores import row_of
from tests.streams.stage1.stage1_folding import NOW_US
from tracemill.contract import Score

DAY_US = 86_400_000_000
# As every query of the API does.
STORED = (
    "SELECT id, value, trace_id FROM scores FINAL ORDER BY id"
    " SETTINGS do_not_merge_across_partitions_select_final = 1"
)


@pytest.fixture
async def empty_store(clickhouse_url: str) -> AsyncIterator[Store]:
    database = f"test_{uuid.uuid4().hex[:12]}"
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    yield store
    await store.command(f"DROP DATABASE IF EXISTS {database} SYNC", use_database=False)
    await store.close()


async def insert(store: Store, row: ScoreRow) -> None:
    columns = ROW_OF_TABLE["scores"].__struct_fields__
    await store.insert_lines("scores", columns, msgspec.json.encode(row))


def score(days: int, value: float, **said: object) -> ScoreRow:
    said = {"id": "s", "trace_id": f"t{days}"} | said
    event = Score(
        project_id="p",
        ts_us=NOW_US + days * DAY_US,
        name="n",
        data_type="NUMERIC",
        value=value,
        **said,
    )
    return row_of(event)


async def test_the_latest_version_of_a_score_replaces_those_of_other_days_and_traces(
    clickhouse_store: Store,
) -> None:
    rows = [score(0, 1.0), score(1, 2.0), score(40, 3.0)]
    for number, order in enumerate(permutations(rows)):
        for row in order:
            await insert(clickhouse_store, msgspec.structs.replace(row, id=f"s{number}"))
    assert await clickhouse_store.query(STORED) == [
        {"id": f"s{number}", "value": 3.0, "trace_id": "t40"} for number in range(6)
    ]


async def test_scores_of_an_older_schema_are_kept_and_their_deletions_are_not_needed(
    empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiering = TieringSettings(hot_days=7)
    with monkeypatch.context() as older:
        older.setattr(migrate_module, "migrations", lambda: migrations()[:10])
        await migrate(empty_store, tiering)
    old, new = score(0, 1.0), score(1, 2.0)
    deletion = msgspec.structs.replace(old, row_version=new.row_version, is_deleted=1)
    for row in (old, new, deletion, score(0, 5.0, id="other")):
        await insert(empty_store, row)
    await migrate(empty_store, tiering)
    expected = [
        {"id": "other", "value": 5.0, "trace_id": "t0"},
        {"id": "s", "value": 2.0, "trace_id": "t1"},
    ]
    assert await empty_store.query(STORED) == expected
    await empty_store.command(
        "ALTER TABLE schema_history DELETE WHERE number = 11", settings={"mutations_sync": "2"}
    )
    assert [step.number for step in await migrate(empty_store, tiering)] == [11]
    assert await empty_store.query(STORED) == expected
