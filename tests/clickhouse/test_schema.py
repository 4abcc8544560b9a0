"""The tables accept the streams' rows and return the latest version of each."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import msgspec
import pytest

from clickhouse.rows import (
    AlertRow,
    DeadLetterRow,
    ObservationRow,
    ScoreRow,
    SpendRow,
    TraceRow,
    WindowRow,
)
from clickhouse.store import Store
from tests.clickhouse.rows_for_tests import DAY_US, observation, write
from tracemill.clock import now_us

EMPTY_SKETCH = (
    "02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000"
)

RECOMPRESSED_WITHIN_S = 120.0
"""A part that a view wrote may be recompressed by its first merge only."""


async def test_every_field_of_an_observation_is_read_back(clickhouse_store: Store) -> None:
    start = now_us()
    row = observation(
        start_us=start,
        end_us=start + 1_234_567,
        completion_start_us=start + 7,
        sent_completion_start_us=start - 3,
        type="GENERATION",
        name="answer",
        parent_id="o0",
        environment="prod",
        level="ERROR",
        status_message='it\'s "broken"\n',
        model="gpt-4o",
        usage={"input": 10, "output": 3, "total": 13},
        provided_usage={"input": 10},
        cost_pico={"input": 1, "output": 2_500_000_000_000},
        provided_cost_pico={"total": 3},
        total_cost_pico=9_007_199_254_740_993,
        cost_source="computed",
        input="größe 🙂 \\ \t",
        metadata='{"a":1}',
        tool_definitions={"weather": '{"name":"weather"}'},
        tool_calls=('{"id":"c"}', '{"id":"d"}'),
        tool_call_names=("weather", "weather"),
        app_root=1,
        user_id="u",
        event_us=start + 1,
    )
    await write(clickhouse_store, "observations", row)
    (stored,) = await clickhouse_store.query("SELECT * FROM observations FINAL")
    assert stored["start_time"].timestamp() == pytest.approx(start / 1e6, abs=1e-6)
    assert stored["total_cost"] == Decimal("9007.199254740993")
    assert stored["cost"] == {"input": Decimal("1e-12"), "output": Decimal("2.5")}
    assert stored["provided_cost"] == {"total": Decimal("3e-12")}
    assert stored["usage"] == {"input": 10, "output": 3, "total": 13}
    assert stored["input"] == "größe 🙂 \\ \t"
    assert stored["status_message"] == 'it\'s "broken"\n'
    assert (stored["end_time"] - stored["start_time"]).total_seconds() == 1.234567
    sent = stored["sent_completion_start_time"]
    assert sent.timestamp() == pytest.approx((start - 3) / 1e6, abs=1e-6)
    same_names = set(ObservationRow.__struct_fields__) & set(stored)
    encoded = msgspec.to_builtins(row)
    for name in same_names & set(encoded):
        expected = encoded[name]
        assert stored[name] == (list(expected) if isinstance(expected, tuple) else expected), name


async def test_the_highest_version_is_valid_in_whatever_order_rows_arrive(
    clickhouse_store: Store,
) -> None:
    start = now_us()
    new = observation(start_us=start, row_version=3, name="new", total_cost_pico=5)
    old = observation(start_us=start, row_version=2, name="old", total_cost_pico=7)
    await write(clickhouse_store, "observations", new, old, new)
    await write(clickhouse_store, "observations", old)
    for table in ("observations", "observations_slim"):
        rows = await clickhouse_store.query(f"SELECT name, total_cost FROM {table} FINAL")
        assert rows == [{"name": "new", "total_cost": Decimal("5e-12")}], table


async def test_a_tombstone_removes_the_row_under_its_old_key(clickhouse_store: Store) -> None:
    start = now_us()
    await write(clickhouse_store, "observations", observation(start_us=start, row_version=1))
    moved = observation(start_us=start - 2 * DAY_US, row_version=2)
    tombstone = observation(start_us=start, row_version=2, is_deleted=1)
    await write(clickhouse_store, "observations", moved, tombstone)
    for table in ("observations", "observations_slim"):
        rows = await clickhouse_store.query(
            f"SELECT toUnixTimestamp64Micro(start_time) AS start_us FROM {table} FINAL"
            " SETTINGS do_not_merge_across_partitions_select_final = 1"
        )
        assert rows == [{"start_us": start - 2 * DAY_US}], table


async def test_the_slim_copy_cuts_texts_and_keeps_numbers(clickhouse_store: Store) -> None:
    row = observation(
        input="ü" * 1000, output="o" * 300, status_message="s" * 1000, total_cost_pico=12
    )
    await write(clickhouse_store, "observations", row)
    (slim,) = await clickhouse_store.query("SELECT * FROM observations_slim FINAL")
    assert slim["input"] == "ü" * 200
    assert slim["output"] == "o" * 200
    assert slim["status_message"] == "s" * 1000
    assert slim["total_cost"] == Decimal("12e-12")


async def test_one_insert_may_hold_rows_of_many_days(clickhouse_store: Store) -> None:
    start = now_us()
    rows = [observation(id=f"o{day}", start_us=start - day * DAY_US) for day in range(150)]
    await write(clickhouse_store, "observations", *rows)
    counted = await clickhouse_store.query("SELECT count() AS n FROM observations_slim FINAL")
    assert counted == [{"n": 150}]


async def test_rows_of_every_table_are_accepted_without_fields_that_have_defaults(
    clickhouse_store: Store,
) -> None:
    start = now_us()
    await write(
        clickhouse_store,
        "traces",
        TraceRow(
            project_id="p",
            id="t",
            start_us=start,
            row_version=1,
            tags=("a", "b"),
            total_cost_pico=8,
        ),
    )
    await write(
        clickhouse_store,
        "scores",
        ScoreRow(project_id="p", id="s", event_us=start, row_version=1, value=0.5),
        ScoreRow(project_id="p", id="s2", event_us=start, row_version=1, string_value="good"),
    )
    await write(
        clickhouse_store,
        "spend",
        SpendRow(
            project_id="p",
            bucket_s=900,
            user_id="u",
            model="m",
            environment="e",
            row_version=1,
            total_cost_pico=9,
        ),
    )
    await write(
        clickhouse_store,
        "alerts",
        AlertRow(
            project_id="p",
            id="a",
            budget_id="b",
            name="n",
            scope="{}",
            period_start_us=0,
            threshold="0.8",
            spent_pico=1,
            limit_pico=2,
            created_us=start,
            row_version=1,
        ),
    )
    await write(
        clickhouse_store,
        "dead_letters",
        DeadLetterRow(project_id="p", id="d", created_us=start, stage="gateway", reason="bad_line"),
    )

    async def only(sql: str) -> dict[str, object]:
        (row,) = await clickhouse_store.query(sql)
        return row

    assert await only("SELECT tags, total_cost, environment FROM traces FINAL") == {
        "tags": ["a", "b"],
        "total_cost": Decimal("8e-12"),
        "environment": "default",
    }
    assert await only("SELECT value FROM scores FINAL WHERE id = 's'") == {"value": 0.5}
    assert await only("SELECT value, string_value FROM scores FINAL WHERE id = 's2'") == {
        "value": None,
        "string_value": "good",
    }
    assert await only("SELECT toUnixTimestamp(bucket_start) AS s, total_cost FROM spend FINAL") == {
        "s": 900,
        "total_cost": Decimal("9e-12"),
    }
    assert await only("SELECT spent, limit_usd FROM alerts FINAL") == {
        "spent": Decimal("1e-12"),
        "limit_usd": Decimal("2e-12"),
    }
    assert await only("SELECT source_partition, row_version FROM dead_letters FINAL") == {
        "source_partition": -1,
        "row_version": 1,
    }


async def test_windows_merge_their_sketches(clickhouse_store: Store) -> None:
    (sketch,) = await clickhouse_store.query(
        "SELECT hex(quantilesDDState(0.01, 0.5, 0.95, 0.99)(toFloat64(number + 1))) AS state"
        " FROM numbers(10000)"
    )

    def window(minute: int, version: int, state: str, count: int) -> WindowRow:
        return WindowRow(
            project_id="p", window_s=60 * minute, environment="e", model="m", name="n",
            row_version=version, observation_count=count, latency_state_hex=state,
        )  # fmt: skip

    await write(
        clickhouse_store,
        "windows",
        window(1, 1, EMPTY_SKETCH, 0),
        window(2, 1, sketch["state"], 10_000),
    )
    await write(clickhouse_store, "windows", window(1, 2, sketch["state"], 10_000))
    (answer,) = await clickhouse_store.query(
        "SELECT sum(observation_count) AS n,"
        " quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(latency_state) AS q FROM windows FINAL"
    )
    assert answer["n"] == 20_000
    assert answer["q"] == pytest.approx([5000, 9500, 9900], rel=0.011)


async def test_a_day_that_is_over_is_compressed_well_and_today_quickly(
    clickhouse_store: Store,
) -> None:
    await write(clickhouse_store, "observations", observation(id="new"))
    await write(
        clickhouse_store, "observations", observation(id="old", start_us=now_us() - 3 * DAY_US)
    )
    for table in ("observations", "observations_slim"):
        deadline = time.monotonic() + RECOMPRESSED_WITHIN_S
        while (codecs := await codecs_by_day(clickhouse_store, table)) != ["ZSTD(3)", "LZ4"]:
            assert time.monotonic() < deadline, f"{table}: {codecs}"
            await asyncio.sleep(0.1)


async def codecs_by_day(store: Store, table: str) -> list[str]:
    parts = await store.query(
        "SELECT default_compression_codec AS codec FROM system.parts WHERE active"
        " AND database = {database:String} AND table = {table:String} ORDER BY partition",
        {"database": store.database, "table": table},
    )
    return [part["codec"] for part in parts]


async def test_a_trace_queried_without_a_time_is_found_by_its_hash(
    clickhouse_store: Store,
) -> None:
    start = now_us()
    rows = [observation(trace_id=f"t{n}", id=f"o{n}", start_us=start) for n in range(30_000)]
    await write(clickhouse_store, "observations", *rows)
    plan = await clickhouse_store.query_bytes(
        "EXPLAIN indexes = 1 SELECT id FROM observations"
        " WHERE project_id = 'p' AND trace_id = {trace:String}",
        {"trace": "t77"},
        "TSVRaw",
    )
    assert b"cityHash64(trace_id)" in plan
    assert b"Granules: 1/4" in plan
