"""Sinks keep hours and days up to date with the windows that they insert."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from clickhouse import migrate as migrate_module
from clickhouse.levels.settings import LevelSettings
from clickhouse.migrate import migrate, migrations
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from producers.settings import KafkaSettings
from tests.clickhouse.levels_for_tests import (
    DAY_S,
    MONDAY_S,
    insert,
    levels_equal_windows,
    random_windows,
    recompute,
    window,
)
from tests.clickhouse.sink_for_tests import count, eventually
from tests.fixtures.sink import sinking

SOON = LevelSettings(interval_s=0.05, quiet_s=0)


async def test_windows_from_kafka_are_rolled_up_and_so_are_late_ones(
    kafka: KafkaSettings, clickhouse_store: Store, producer: AIOKafkaProducer
) -> None:
    hasty = clickhouse_store.settings.model_copy(update={"clickhouse_insert_timeout_s": 3.0})
    stores = [Store(hasty) for _ in range(2)]

    async def send(*at_s: int) -> None:
        rows = [window(each, total_cost_pico=7) for each in at_s]
        value = b"\n".join(map(msgspec.json.encode, rows))
        await producer.send_and_wait(kafka.topics.windows, value, partition=0)

    async def all_are_current() -> bool:
        # The rows of an insert can be read a moment before the view's row of it.
        (found,) = await clickhouse_store.query(
            "SELECT countIf(changed_at > covered_at) AS hours,"
            " max(changed_at) > max(day_covered_at) AS days,"
            " max(changed_at) < (SELECT max(inserted_at) FROM windows) AS unnoted"
            " FROM window_rollups FINAL"
        )
        return (found["hours"], found["days"], found["unnoted"]) == (0, 0, 0)

    try:
        async with (
            sinking(kafka, stores[0], levels=SOON),
            sinking(kafka, stores[1], levels=SOON),
        ):
            await send(MONDAY_S, MONDAY_S + 60, MONDAY_S + 7_200)
            await eventually(lambda: _has(clickhouse_store, 3))
            await eventually(all_are_current)
            await levels_equal_windows(clickhouse_store)
            await send(MONDAY_S + 120, MONDAY_S + DAY_S - 10)
            await eventually(lambda: _has(clickhouse_store, 5))
            await eventually(all_are_current)
            await levels_equal_windows(clickhouse_store)
    finally:
        for store in stores:
            await store.close()


async def _has(store: Store, rows: int) -> bool:
    return await count(store, "windows") == rows


async def test_windows_of_an_older_version_are_rolled_up(
    clickhouse_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, known = clickhouse_store, migrations()
    older = next(at for at, each in enumerate(known) if each.name == "window_levels")
    await store.command(f"DROP DATABASE {store.database} SYNC", use_database=False)
    with monkeypatch.context() as before:
        before.setattr(migrate_module, "migrations", lambda: known[:older])
        await migrate(store, TieringSettings())
    await insert(store, random_windows(Random(6), 200))
    await migrate(store, TieringSettings())
    await recompute(store)
    await levels_equal_windows(store)
