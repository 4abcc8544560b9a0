"""Days on which observations and windows differ after a lost log are reported."""

from __future__ import annotations

import msgspec

from clickhouse.store import Store
from deploy.recovery.consistency import disagreements

DAY_S = 1_780_000_000 // 86_400 * 86_400


async def insert(store: Store, table: str, *rows: dict[str, object]) -> None:
    columns = sorted({name for row in rows for name in row})
    await store.insert_lines(table, columns, b"\n".join(msgspec.json.encode(row) for row in rows))


async def test_totals_of_one_moment_agree_and_missing_windows_are_reported(
    clickhouse_store: Store,
) -> None:
    observation = {
        "project_id": "p",
        "trace_id": "t",
        "id": "o",
        "start_us": DAY_S * 1_000_000,
        "row_version": 1,
        "total_cost_pico": 10**12,
    }
    await insert(clickhouse_store, "observations", observation)
    (line,) = await disagreements(clickhouse_store)
    assert "1 observations ($1" in line
    assert "its windows 0" in line
    await clickhouse_store.command(
        "INSERT INTO windows (project_id, window_s, environment, model, name, row_version,"
        " observation_count, total_cost_pico)"
        " SELECT 'p', {start:UInt32}, 'e', 'm', 'n', 1, 1, 1000000000000",
        {"start": DAY_S},
    )
    await clickhouse_store.command(
        "INSERT INTO spend (project_id, bucket_s, user_id, model, environment, row_version,"
        " total_cost_pico) SELECT 'p', {start:UInt32}, 'u', 'm', 'e', 1, 1000000000000",
        {"start": DAY_S},
    )
    assert await disagreements(clickhouse_store) == []
