"""Measure the store: rows of stage 1, inserted in large batches over HTTP."""

from __future__ import annotations

import asyncio

from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.migrate import migrate
from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from tests.bench.stages import Cost
from tests.bench.stages.stage1 import encoded_rows
from tests.fixtures.installation import usage_of
from tests.fixtures.store import STORE_PASSWORD, STORE_USER, administered_store

EVENTS_PER_BATCH = 25_000
BATCHES = 4


def costs() -> list[Cost]:
    with administered_store() as (url, pid):
        return asyncio.run(_insert(url, pid))


async def _insert(url: str, pid: int) -> list[Cost]:
    observations, traces = encoded_rows(EVENTS_PER_BATCH)
    store = Store(
        StoreSettings(
            clickhouse_url=url, clickhouse_user=STORE_USER, clickhouse_password=STORE_PASSWORD
        )
    )
    try:
        await migrate(store, TieringSettings())
        spent_s = {"observations": 0.0, "traces": 0.0}
        for _ in range(BATCHES):
            for table, rows in (("observations", observations), ("traces", traces)):
                begun_s = usage_of(pid).cpu_s
                await store.insert_lines(table, ROW_OF_TABLE[table].__struct_fields__, rows)
                spent_s[table] += usage_of(pid).cpu_s - begun_s
    finally:
        await store.close()
    events = EVENTS_PER_BATCH * BATCHES
    size = len(observations) // EVENTS_PER_BATCH
    return [
        Cost("store", f"insert observations, {size} B", spent_s["observations"] / events * 1e6),
        Cost("store", "insert their traces", spent_s["traces"] / events * 1e6),
    ]
