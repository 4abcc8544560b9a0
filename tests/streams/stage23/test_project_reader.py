"""Queries of stage 2 against the real engine."""

import msgspec
import pytest

from clickhouse.errors import StoreUnavailable
from clickhouse.rows import SpendRow, WindowRow
from streams.core.rollups.fold import Missing
from streams.core.rollups.sketch import bins_of, state_hex
from streams.rollups.reader import ProjectReader
from streams.rollups.settings import ProjectSettings

DAY_S = 1_795_219_200
HUGE_PICO = 9_000_000_000_000_000_001


async def insert(store, table, *rows):
    lines = b"\n".join(map(msgspec.json.encode, rows))
    await store.insert_lines(table, type(rows[0]).__struct_fields__, lines)


def window(**fields):
    return WindowRow(
        **{
            "project_id": "p1",
            "window_s": DAY_S,
            "environment": "prod",
            "model": "m1",
            "name": "chat",
            "row_version": 7,
            "observation_count": 3,
            "error_count": 1,
            "usage": {"input": 5},
            "total_cost_pico": HUGE_PICO,
            "latency_state_hex": state_hex({-1: 2, 5: 1, 700: 4}),
            "ttft_state_hex": state_hex({600: 2}),
            "rate_state_hex": state_hex({-1: 1, 900: 3}),
            "unpriced_count": 2,
            "cache_exact_count": 1,
            "cache_semantic_count": 2,
            "cache_miss_count": -3,
            "cached_saved_pico": -HUGE_PICO,
            "app_saved_pico": 9,
            "error_types": {"429": 1},
            "type": "GENERATION",
            "provider": "openai",
        }
        | fields
    )


def spend(**fields):
    return SpendRow(
        **{
            "project_id": "p1",
            "bucket_s": DAY_S,
            "user_id": "u1",
            "model": "m1",
            "environment": "prod",
            "row_version": 7,
            "total_cost_pico": 5,
        }
        | fields
    )


@pytest.fixture
def reader(clickhouse_store):
    return ProjectReader(clickhouse_store, ProjectSettings(store_retry_s=0.01))


async def test_groups_come_back_as_they_were_written(clickhouse_store, reader):
    strange = "o'Brien\\\t\n\"ü"
    await insert(clickhouse_store, "windows", window(row_version=6, observation_count=1))
    await insert(
        clickhouse_store, "windows", window(), window(name=strange), window(project_id="p2")
    )
    await insert(clickhouse_store, "windows", window(window_s=DAY_S + 60))
    await insert(clickhouse_store, "spend", spend(user_id=strange), spend(bucket_s=DAY_S + 900))
    asked = Missing({("p1", DAY_S), ("p9", DAY_S + 60)}, {("p1", DAY_S)})
    windows, spent = await reader.read_back(asked)
    assert {row.name for row in windows} == {"chat", strange}
    [row] = [row for row in windows if row.name == "chat"]
    assert bins_of(bytes.fromhex(row.latency_state_hex)) == {-1: 2, 5: 1, 700: 4}
    assert bins_of(bytes.fromhex(row.ttft_state_hex)) == {600: 2}
    assert bins_of(bytes.fromhex(row.rate_state_hex)) == {-1: 1, 900: 3}
    for column in ("latency_state_hex", "ttft_state_hex", "rate_state_hex"):
        setattr(row, column, getattr(window(), column))
    assert row == window()
    assert spent == [spend(user_id=strange)]


async def test_a_project_of_any_text_is_read_back(clickhouse_store, reader):
    texts = ["\0", "a\0b", "\r\n\t\b", "\\N", "{x:String}", "' OR 1", "%00", "\ufffe", "x" * 200]
    await insert(clickhouse_store, "spend", *(spend(project_id=text) for text in texts), spend())
    _, spent = await reader.read_back(Missing(set(), {(text, DAY_S) for text in texts}))
    assert {row.project_id for row in spent} == set(texts)


async def test_the_largest_amount_comes_back_as_it_was_written(clickhouse_store, reader):
    row = spend(total_cost_pico=2**63 - 1)
    await insert(clickhouse_store, "spend", row)
    _, [again] = await reader.read_back(Missing(set(), {("p1", DAY_S)}))
    assert again == row


async def test_the_latest_starts_are_known(clickhouse_store, reader):
    latest = await reader.latest()
    assert (latest.windows_s, latest.spend_s) == (0, 0)
    await insert(clickhouse_store, "windows", window())
    await insert(clickhouse_store, "spend", spend(bucket_s=DAY_S + 900))
    latest = await reader.latest()
    assert (latest.windows_s, latest.spend_s) == (DAY_S, DAY_S + 900)


async def test_the_stage_waits_for_an_unavailable_store(clickhouse_store, reader, monkeypatch):
    answer, failures = clickhouse_store.query_bytes, [StoreUnavailable("away")] * 3

    async def query_bytes(*args):
        if failures:
            raise failures.pop()
        return await answer(*args)

    monkeypatch.setattr(clickhouse_store, "query_bytes", query_bytes)
    assert (await reader.latest()).spend_s == 0
    assert not failures
