"""What stage 1 asks the real store: the traces it has, and what was written of them."""

from __future__ import annotations

import msgspec
import pytest

from clickhouse.feeds import ROW_OF_TABLE
from clickhouse.rows import ObservationRow, TraceRow
from clickhouse.store import Store
from clickhouse.trace_deletion_rows import TraceDeletionRow
from producers.settings import KafkaSettings
from streams.core.observations.bounding import Bounds
from streams.core.observations.fold import Needs
from streams.core.observations.lines import LINES
from streams.core.observations.merge import (
    merge_partial,
    restore_merged,
    write_fields,
    write_merge_state,
)
from streams.core.observations.seen import SeenTraces
from streams.core.observations.state import state_of_row
from streams.core.observations.trace_fields import TraceFields, trace_fields_of
from streams.observations.readback import StoreHistory
from streams.observations.settings import StreamsSettings
from streams.runtime.sink_progress import SinkProgress
from tracemill.clock import now_us
from tracemill.contract import Observation, TraceAttributes, encode_event
from tracemill.partitioning import partition_of

START_US = 1_795_046_400_123_456
SETTINGS = StreamsSettings()
KAFKA = KafkaSettings()


@pytest.fixture
async def history(clickhouse_store: Store) -> StoreHistory:
    return StoreHistory(
        KAFKA, clickhouse_store, SETTINGS, SinkProgress(KAFKA, SETTINGS.sink_poll_s)
    )


async def insert(store: Store, table: str, *rows: msgspec.Struct) -> None:
    columns = ROW_OF_TABLE[table].__struct_fields__
    await store.insert_lines(table, columns, b"\n".join(map(msgspec.json.encode, rows)))


def trace(trace_id: str, **said: object) -> TraceRow:
    said.setdefault("row_version", 1)
    return TraceRow(project_id="pä", id=trace_id, start_us=START_US, **said)


def observation(**said: object) -> ObservationRow:
    said = {"trace_id": "t1", "id": "o1", "start_us": START_US, "row_version": 1} | said
    return ObservationRow(project_id="pä", **said)


async def test_the_store_and_the_worker_hash_traces_alike(
    clickhouse_store: Store, history: StoreHistory
) -> None:
    ids = [f"trace-{number}" for number in range(40)]
    await insert(clickhouse_store, "traces", *map(trace, ids))
    partitions = range(KAFKA.event_partitions)
    seen = [SeenTraces(await history.seen(partition)) for partition in partitions]
    for trace_id in ids:
        home = partition_of("pä", trace_id, KAFKA.event_partitions)
        assert [("pä", trace_id) in each for each in seen] == [each == home for each in partitions]
    assert sum(map(len, seen)) == len(ids)


async def test_of_a_whole_observation_the_numbers_come_back_and_texts_where_they_are_needed(
    clickhouse_store: Store, history: StoreHistory
) -> None:
    row = observation(
        end_us=START_US + 7,
        name="n",
        model="m",
        level="ERROR",
        parent_id="x",
        usage={"input": 3, "total": 3},
        provided_usage={"input": 3},
        provided_cost_pico={"input": 2**62},
        total_cost_pico=2**62 + 1,
        cost_source="given",
        input="question",
        event_us=START_US + 1,
    )
    await insert(clickhouse_store, "observations", row)
    key = ("pä", "t1")
    (slim,) = await history.read_back(Needs({key}, set()))
    assert slim.observations[0].input == ""
    assert state_of_row(slim.observations[0], None) == state_of_row(row, None)
    (full,) = await history.read_back(Needs({key}, {(key, "o1")}))
    assert full.observations[0].input == "question"
    assert full.observations[0].provided_cost_pico == row.provided_cost_pico


async def test_statements_come_back_as_they_were_written(
    clickhouse_store: Store, history: StoreHistory
) -> None:
    event = Observation(
        project_id="pä",
        trace_id="t1",
        id="o1",
        ts_us=START_US,
        partial=True,
        input='say "é"',
        metadata='{"a":{"b":[1,null]}}',
        usage={"input": 3},
        end_us=START_US - 5,
        app_root=True,
    )
    merged = merge_partial(None, LINES.decode(encode_event(event)), START_US, Bounds())
    row = observation()
    write_fields(merged, row)
    write_merge_state(merged, row)
    said = TraceFields()
    said.merge(
        TraceAttributes(user_id="ann", public=True, tags=("b", "a"), input="hi"), START_US, Bounds()
    )
    trace_row = trace("t1")
    said.write(trace_row)
    await insert(clickhouse_store, "observations", row)
    await insert(clickhouse_store, "traces", trace_row)
    (read,) = await history.read_back(Needs({("pä", "t1")}, set()))
    assert restore_merged(read.observations[0]) == merged
    assert read.row is not None
    assert trace_fields_of(read.row) == said


async def test_the_latest_version_counts_also_under_another_key_and_deleted_rows_do_not(
    clickhouse_store: Store, history: StoreHistory
) -> None:
    moved_us = START_US + 3_600_000_000
    await insert(
        clickhouse_store,
        "observations",
        observation(name="old"),
        observation(start_us=moved_us, row_version=2, name="new"),
        observation(row_version=2, is_deleted=1),
        observation(id="o2", row_version=1, name="first"),
        observation(id="o2", row_version=3, name="second"),
    )
    (read,) = await history.read_back(Needs({("pä", "t1"), ("pä", "absent")}, set()))
    assert {row.id: (row.name, row.row_version) for row in read.observations} == {
        "o1": ("new", 2),
        "o2": ("second", 3),
    }


async def test_of_a_deleted_trace_only_what_came_later_is_read_back(
    clickhouse_store: Store, history: StoreHistory
) -> None:
    """Whether or not the store has merged the rows that the deletion supersedes."""
    moved_us = START_US + 3_600_000_000
    for row in (
        observation(name="old"),
        observation(id="o2", start_us=moved_us, row_version=2, merge_state="{}"),
        observation(row_version=5, is_deleted=1),
        observation(id="o2", start_us=moved_us, row_version=5, is_deleted=1),
        observation(id="o3", row_version=9),
    ):
        await insert(clickhouse_store, "observations", row)
    for gone in (trace("t1", user_id="ann"), trace("t1", row_version=5, is_deleted=1)):
        await insert(clickhouse_store, "traces", gone)
    (read,) = await history.read_back(Needs({("pä", "t1")}, {(("pä", "t1"), "o1")}))
    assert read.row is None
    assert [row.id for row in read.observations] == ["o3"]
    assert ("pä", "t1") in SeenTraces(
        await history.seen(partition_of("pä", "t1", KAFKA.event_partitions))
    )
    deletion = TraceDeletionRow(
        project_id="pä", trace_id="t1", deleted_us=now_us(), row_version=2**40
    )
    await insert(clickhouse_store, "trace_deletions", deletion)
    assert await history.trace_version() == 2**40
