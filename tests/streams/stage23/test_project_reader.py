"""Queries of stages 2 and 3 against the real engine."""

import msgspec
import pytest

from clickhouse.errors import StoreUnavailable
from clickhouse.rows import SpendRow, WindowRow
from streams.core.budgets.evaluation import Baseline
from streams.core.budgets.rules import BudgetRule
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


def baseline(number, scope, *, resident=(), start_s=DAY_S, end_s=DAY_S + 86_400):
    rule = BudgetRule(
        id=f"b{number}",
        project_id="p1",
        name="n",
        scope=scope,
        period="day",
        time_zone="UTC",
        limit_pico=1,
        thresholds=("1",),
        created_us=0,
    )
    return Baseline((rule.id, start_s), rule, start_s, end_s, resident, 0)


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


async def test_spend_is_summed_by_scope_without_what_is_in_memory(clickhouse_store, reader):
    await insert(
        clickhouse_store,
        "spend",
        spend(total_cost_pico=HUGE_PICO),
        spend(total_cost_pico=HUGE_PICO, bucket_s=DAY_S + 900),
        spend(total_cost_pico=7, user_id="u2"),
        spend(total_cost_pico=11, user_id="u2", model="m2", bucket_s=DAY_S + 1_800),
        spend(total_cost_pico=100, bucket_s=DAY_S - 900),
        spend(total_cost_pico=100, bucket_s=DAY_S + 86_400),
        spend(total_cost_pico=100, project_id="p2"),
    )
    await insert(clickhouse_store, "spend", spend(total_cost_pico=-3, row_version=8))
    answers = await reader.spent_pico(
        [
            baseline(0, {}),
            baseline(1, {"user_id": "u2"}),
            baseline(2, {"user_id": "u2", "model": "m1", "environment": "prod"}),
            baseline(3, {"user_id": "u1"}, resident=(DAY_S,)),
            baseline(4, {"model": "m2"}, resident=(DAY_S, DAY_S + 900, DAY_S + 1_800)),
            baseline(5, {"environment": "elsewhere"}),
        ]
    )
    assert answers == [HUGE_PICO + 15, 18, 7, HUGE_PICO, 0, 0]


async def test_a_scope_of_any_text_is_answered_or_refused_alone(clickhouse_store, reader):
    texts = [
        "\0",
        "a\0b",
        "\r\n\t\b",
        "\\N",
        "{x:String}",
        "' OR 1",
        "%00",
        "\ufffe",
        "x" * 300_000,
    ]
    await insert(clickhouse_store, "spend", *(spend(user_id=text) for text in texts), spend())
    asked = [baseline(number, {"user_id": text}) for number, text in enumerate([*texts, "u1"])]
    answers = await reader.spent_pico(asked)
    assert answers == [spend().total_cost_pico] * (len(texts) + 1)
    windows, _ = await reader.read_back(Missing({(text[:200], DAY_S) for text in texts}, set()))
    assert windows == []


async def test_spend_beyond_64_bits_is_summed_right(clickhouse_store, reader):
    quarters = range(DAY_S, DAY_S + 86_400, 900)
    rows = [spend(bucket_s=at_s, total_cost_pico=2**63 - 1) for at_s in quarters]
    await insert(clickhouse_store, "spend", *rows)
    assert await reader.spent_pico([baseline(0, {})]) == [96 * (2**63 - 1)]
    _, [again] = await reader.read_back(Missing(set(), {("p1", DAY_S)}))
    assert again == rows[0]


async def test_a_month_of_resident_buckets_can_be_left_out(clickhouse_store, reader):
    await insert(clickhouse_store, "spend", spend())
    buckets = tuple(range(DAY_S, DAY_S + 31 * 86_400, 900))
    assert await reader.spent_pico([baseline(0, {}, resident=buckets)]) == [0]


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
    assert await reader.spent_pico([baseline(0, {})]) == [0]
    assert not failures
