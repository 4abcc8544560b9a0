"""Rows of one project are found and deleted in every table; those of others stay."""

from __future__ import annotations

import msgspec
import pytest

from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from clickhouse.migrate import migrate
from clickhouse.project_rows import (
    begin_to_delete,
    partitions_with_rows,
    project_tables,
    rows_left,
)
from clickhouse.rows import ControlLogRow
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from producers.kafka.topics import Partitions, Topic
from tests.clickhouse.sink_for_tests import START_US, count, eventually, observation

DAY_US = 86_400_000_000


async def test_rows_are_deleted_partition_by_partition_in_tables_and_their_copies(
    clickhouse_store: Store,
) -> None:
    store = clickhouse_store
    await migrate(store, TieringSettings())
    columns = msgspec.json.decode(observation(0)).keys()
    lines = [
        observation(number, project_id=project, start_us=START_US + number * DAY_US)
        for project in ("gone", "stays")
        for number in range(3)
    ]
    await store.insert_lines("observations", list(columns), b"\n".join(lines))
    record = {"kind": "webhook", "record": {"id": "w", "project_id": "gone"}}
    rows = [
        ControlLogRow(log_offset=n, log_key="k", kind="webhook", id="w", record=text, appended_us=1)
        for n, text in enumerate([msgspec.json.encode(record).decode(), ""])
    ]
    names = ControlLogRow.__struct_fields__
    await store.insert_lines("control_log", names, b"\n".join(map(msgspec.json.encode, rows)))
    before = await rows_left(store, "stays")

    left = await rows_left(store, "gone")
    assert {name: rows for name, rows in left.items() if rows} == {
        "observations": 3,
        "observations_slim": 3,
        "control_log": 1,
    }
    for table in await project_tables(store):
        for partition in await partitions_with_rows(store, table, "gone"):
            for _ in range(2):  # a crash repeats it
                await begin_to_delete(store, table, partition.partition_id, "gone")

    async def is_gone() -> bool:
        return not any((await rows_left(store, "gone")).values())

    await eventually(is_gone)
    assert await rows_left(store, "stays") == before
    assert await count(store, "control_log") == 1


def test_a_feed_declares_how_rows_of_a_project_are_found() -> None:
    class Row(msgspec.Struct):
        name: str

    topic = Topic("toys", Partitions.ONE)
    with pytest.raises(ValueError, match="toys: rows have no project_id"):
        Feed(table="toys", row=Row, topic=topic)
    assert Feed(table="toys", row=Row, topic=topic, project_sql="").project_sql == ""
    assert all(feed.project_sql for feed in FEEDS)
