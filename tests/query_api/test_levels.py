"""Responses are the same whether hours and days are rolled up or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query_api.store.levels import DAY_S, HOUR_S, Levels, split, split_by_steps
from query_api.store.steps import step_bounds_s
from tests.clickhouse.levels_for_tests import MONDAY_S, insert, random_windows, recompute, window
from tests.query_api.harness import PROJECT, Api, Kept, opened

DAYS = 4
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Shanghai", "America/St_Johns",
    "Australia/Lord_Howe",
)  # fmt: skip
WEEK_OF_CHANGE_S = 1_792_800_000  # 2026-10-24: summer time ends in Europe


@dataclass
class Twins:
    """Two APIs on equal windows; only those of the first are rolled up, but for the latest."""

    rolled_up: Api
    plain: Api


@pytest.fixture
async def twins(clickhouse_url: str, kept: Kept) -> AsyncIterator[Twins]:
    databases = [await asyncio.to_thread(kept, []) for _ in range(2)]
    async with (
        opened(clickhouse_url, databases[0]) as rolled_up,
        opened(clickhouse_url, databases[1]) as plain,
    ):
        random = Random(5)
        before = random_windows(random, 900, DAYS, (PROJECT,))
        late = random_windows(random, 12, DAYS, (PROJECT,))
        for api in (rolled_up, plain):
            await insert(api.store, before)
            if api is rolled_up:
                await recompute(api.store)
            await insert(api.store, late)
        yield Twins(rolled_up, plain)


def iso(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_query(random: Random) -> dict[str, Any]:
    minutes = sorted(random.sample(range(-600, (DAYS * DAY_S + 36_000) // 60), 2))
    begin_s, end_s = (MONDAY_S + minute * 60 for minute in minutes)
    if random.random() < 0.5:
        begin_s, end_s = begin_s // HOUR_S * HOUR_S, end_s // HOUR_S * HOUR_S + HOUR_S
    query: dict[str, Any] = {
        "from": iso(begin_s),
        "to": iso(end_s),
        "step": random.choice(("1h", "1d")),
        "time_zone": random.choice(ZONES),
        "group_by": random.sample(("model", "environment", "name"), random.randrange(3)),
    }
    filters = {"model": ["m1", "m2"], "name": ["call"], "environment": ["staging"]}
    query |= {name: values for name, values in filters.items() if random.random() < 0.3}
    return query


async def test_any_query_is_the_sum_of_windows(twins: Twins) -> None:
    random = Random(8)
    for _ in range(60):
        query = random_query(random)
        found, expected = [
            await api.client.get("/v1/windows", params=query)
            for api in (twins.rolled_up, twins.plain)
        ]
        assert (found.status_code, found.json()) == (200, expected.json()), query


async def test_current_days_and_hours_are_read_from_levels(api: Api) -> None:
    begin_s = MONDAY_S - 1_800
    rows = [
        window(begin_s + 1_200 * n, [n * 1e3], model=f"m{n % 3}", project_id=PROJECT)
        for n in range(3 * DAYS * 24)
    ]
    await insert(api.store, rows)
    await recompute(api.store)
    params = {
        "from": iso(MONDAY_S), "to": iso(MONDAY_S + DAYS * DAY_S - DAY_S), "step": "1d",
        "group_by": "model", "time_zone": "UTC",
    }  # fmt: skip
    shanghai = {**params, "time_zone": "Asia/Shanghai"}
    before = [
        (await api.client.get("/v1/windows", params=each)).json() for each in (params, shanghai)
    ]
    assert all(each["data"] for each in before)
    await api.store.command("TRUNCATE TABLE windows")
    after = [
        (await api.client.get("/v1/windows", params=each)).json() for each in (params, shanghai)
    ]
    assert after == before
    await api.store.command("TRUNCATE TABLE windows_hourly")
    by_day, by_hour = [
        (await api.client.get("/v1/windows", params=each)).json() for each in (params, shanghai)
    ]
    assert by_day == before[0]
    assert by_hour["data"] == []


async def test_days_by_one_dimension_are_read_without_sketches(
    clickhouse_url: str, kept: Kept
) -> None:
    database = await asyncio.to_thread(kept, [])
    async with opened(clickhouse_url, database) as api:
        await insert(api.store, random_windows(Random(9), 300, projects=(PROJECT,)))
        of_windows = [await _days(api, by) for by in ([], ["model"], ["name"])]
        assert all(any(each["latency_ms"]["p90"] for each in data) for data in of_windows)
        await recompute(api.store)
        for name in ("latency_state", "ttft_state", "rate_state"):
            await api.store.command(f"ALTER TABLE windows_daily DROP COLUMN {name}")
        assert [await _days(api, by) for by in ([], ["model"], ["name"])] == of_windows


async def _days(api: Api, group_by: list[str]) -> list[dict[str, Any]]:
    params = {"from": iso(MONDAY_S), "to": iso(MONDAY_S + 3 * DAY_S), "step": "1d"}
    answer = await api.client.get("/v1/windows", params={**params, "group_by": group_by})
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


buckets = st.sets(st.integers(0, 24 * 9), max_size=60)


@given(
    st.integers(-2_000, 20_000),
    st.integers(1, 20_000),
    st.sampled_from(["1h", "1d"]),
    st.sampled_from(ZONES),
    buckets,
    buckets,
)
@settings(max_examples=300)
def test_a_split_covers_the_range_once_and_cuts_no_step(
    from_minute: int, minutes: int, step: Any, zone: str, days: set[int], hours: set[int]
) -> None:
    from_s = WEEK_OF_CHANGE_S + from_minute * 60
    to_s = from_s + minutes * 60
    first_s = WEEK_OF_CHANGE_S // DAY_S * DAY_S
    stale_days = {first_s + day % 9 * DAY_S for day in days}
    stale_hours = {first_s + hour * HOUR_S for hour in hours}
    bounds_s = step_bounds_s(step, zone, from_s, to_s)
    levels = split(from_s, to_s, bounds_s, stale_days, stale_hours)
    ranges = sorted((*levels.windows, *levels.hourly, *levels.daily))
    assert ranges[0][0] == from_s
    assert ranges[-1][1] == to_s
    assert all(end == begin for (_, end), (begin, _) in pairwise(ranges))
    for of_level, length_s, stale in (
        (levels.hourly, HOUR_S, stale_hours),
        (levels.daily, DAY_S, stale_days),
    ):
        for begin_s, end_s in of_level:
            assert begin_s % length_s == end_s % length_s == 0
            assert stale.isdisjoint(range(begin_s, end_s, length_s))
            assert all(bound % length_s == 0 for bound in bounds_s if begin_s < bound < end_s)


def test_the_longest_level_is_preferred() -> None:
    bounds_s = step_bounds_s("1d", "UTC", MONDAY_S, MONDAY_S + 3 * DAY_S)
    half_past_s = MONDAY_S + 2 * DAY_S + 1_800
    assert split(MONDAY_S, half_past_s, bounds_s, {MONDAY_S}, {MONDAY_S + HOUR_S}) == Levels(
        windows=(
            (MONDAY_S + HOUR_S, MONDAY_S + 2 * HOUR_S),
            (half_past_s - 1_800, half_past_s),
        ),
        hourly=(
            (MONDAY_S, MONDAY_S + HOUR_S),
            (MONDAY_S + 2 * HOUR_S, MONDAY_S + DAY_S),
        ),
        daily=((MONDAY_S + DAY_S, MONDAY_S + 2 * DAY_S),),
    )


def test_a_day_within_a_longer_step_is_not_that_step() -> None:
    end_s = WEEK_OF_CHANGE_S + 3 * DAY_S
    bounds_s = step_bounds_s("1d", "Europe/London", WEEK_OF_CHANGE_S, end_s)
    day_of_25_hours = (WEEK_OF_CHANGE_S + DAY_S - HOUR_S, WEEK_OF_CHANGE_S + 2 * DAY_S)
    assert set(day_of_25_hours) <= set(bounds_s)
    levels = split(WEEK_OF_CHANGE_S, end_s, bounds_s, (), ())
    single, others = split_by_steps(levels, bounds_s)
    assert levels.daily == ((WEEK_OF_CHANGE_S + DAY_S, end_s),)
    assert single.daily == ((WEEK_OF_CHANGE_S + 2 * DAY_S, end_s),)
    assert others.daily == ((WEEK_OF_CHANGE_S + DAY_S, WEEK_OF_CHANGE_S + 2 * DAY_S),)
