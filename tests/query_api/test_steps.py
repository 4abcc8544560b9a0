"""Steps of calendars equal those of Python's time zones, also as the store groups by them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import WindowRow
from producers.control.periods import period_bounds
from query_api.store.steps import STEP_S, Runs, Step, runs_of, step_bounds_s
from streams.core.rollups.sketch import state_hex
from tests.query_api.harness import PROJECT, Api

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
SECOND_US = 1_000_000
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def s(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


instants_s = st.integers(s("1975-01-01T00:00:00Z"), s("2099-01-01T00:00:00Z"))
zones = st.sampled_from(ZONES)
steps = st.sampled_from(("1m", "1h", "1d"))


def shift_s(zone: ZoneInfo, at_s: int) -> float:
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert offset is not None
    return offset.total_seconds() % HOUR_S


def start_of(runs: Runs, at_s: int) -> int:
    """What the store is asked to compute."""
    number = bisect_right(runs.begins, at_s) - 1
    begin_s = runs.begins[number]
    start_s = begin_s + (at_s - begin_s) // runs.step_s * runs.step_s
    return min(start_s, runs.lasts[number])


def hour_by_the_clock(zone: ZoneInfo, at_s: int) -> int:
    """Back, minute by minute, to a full hour or a clock that was set to other full hours."""
    while datetime.fromtimestamp(at_s, zone).minute != 0:
        if shift_s(zone, at_s - MINUTE_S) != shift_s(zone, at_s):
            return at_s
        at_s -= MINUTE_S
    return at_s


@given(zone=zones, step=steps, from_s=instants_s, length_s=st.integers(1, 500 * DAY_S))
def test_runs_give_the_step_of_every_instant(
    zone: str, step: Step, from_s: int, length_s: int
) -> None:
    to_s = from_s + min(length_s, 2_000 * STEP_S[step])
    bounds = step_bounds_s(step, zone, from_s, to_s)
    runs = runs_of(bounds, STEP_S[step])
    assert bounds[0] <= from_s < bounds[1]
    assert bounds[-2] < to_s <= bounds[-1]
    for start_s, end_s in pairwise(bounds):
        assert start_s < end_s
        assert {start_of(runs, each) for each in (start_s, end_s - 1)} == {start_s}
    assert len(runs.begins) == len(runs.lasts) <= 2 + 8 * (1 + (to_s - from_s) // (365 * DAY_S))


@given(zone=zones, from_s=instants_s, days=st.integers(1, 500))
def test_days_are_those_of_budgets(zone: str, from_s: int, days: int) -> None:
    bounds = step_bounds_s("1d", zone, from_s, from_s + days * DAY_S)
    for start_s, end_s in pairwise(bounds):
        assert period_bounds("day", zone, start_s * SECOND_US) == (
            start_s * SECOND_US,
            end_s * SECOND_US,
        )


@given(zone=zones, from_s=instants_s, hours=st.integers(1, 400 * 24))
def test_hours_start_at_full_hours_of_local_time(zone: str, from_s: int, hours: int) -> None:
    local = ZoneInfo(zone)
    bounds = step_bounds_s("1h", zone, from_s, from_s + hours * HOUR_S)
    for start_s, end_s in pairwise(bounds):
        full = datetime.fromtimestamp(start_s, local).strftime("%M:%S") == "00:00"
        assert full or shift_s(local, start_s - 1) != shift_s(local, start_s)
        assert end_s - start_s == HOUR_S or shift_s(local, start_s - 1) != shift_s(local, end_s)
        assert end_s - start_s <= HOUR_S


CHANGES = (
    # Days of 23 and of 25 hours.
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    # Half past; a change by half an hour; a quarter to.
    ("Asia/Kolkata", "2026-06-01T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
    # No midnight, two midnights, clocks that go back over one, no 30th of December.
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("America/St_Johns", "2006-10-29T02:31:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
)


@pytest.mark.parametrize("step", ["1m", "1h", "1d"])
async def test_the_store_groups_by_the_steps_of_a_zone_without_its_name(
    api: Api, step: Step
) -> None:
    minutes = {
        s(at) + 7 * MINUTE_S * number for _, at in CHANGES for number in range(-290, 291)
    } | {s(at) + number * MINUTE_S for _, at in CHANGES for number in (-31, -30, -1, 0, 1, 30)}
    await api.insert(
        *(
            WindowRow(
                project_id=PROJECT, environment="e", model="m", name="n", row_version=1,
                observation_count=1, latency_state_hex=state_hex({}), window_s=at_s,
            )
            for at_s in minutes
        )
    )  # fmt: skip
    for name, at in CHANGES:
        zone = ZoneInfo(name)
        from_s, to_s = s(at) - 40 * HOUR_S, s(at) + 40 * HOUR_S

        def start_of_step(at_s: int, name: str = name, zone: ZoneInfo = zone) -> int:
            if step == "1d":
                return period_bounds("day", name, at_s * SECOND_US)[0] // SECOND_US
            return hour_by_the_clock(zone, at_s) if step == "1h" else at_s

        expected = Counter(start_of_step(each) for each in minutes if from_s <= each < to_s)
        answer = await api.client.get(
            "/v1/windows",
            params={
                "from": datetime.fromtimestamp(from_s, UTC).isoformat(),
                "to": datetime.fromtimestamp(to_s, UTC).isoformat(),
                "step": step,
                "time_zone": name,
            },
        )
        data = answer.json()["data"]
        assert {s(each["start"]): each["count"] for each in data} == expected, (name, at)
        assert all(each["start"] < each["end"] for each in data)
        assert all(earlier["end"] <= later["start"] for earlier, later in pairwise(data))


async def test_a_query_over_decades_fits_into_a_request(api: Api) -> None:
    await api.insert(
        WindowRow(
            project_id=PROJECT, environment="e", model="m", name="n", row_version=1,
            observation_count=1, latency_state_hex=state_hex({}),
            window_s=s("2026-11-21T12:00:00Z"),
        )
    )  # fmt: skip
    for zone in ("Africa/Casablanca", "Australia/Lord_Howe", "America/St_Johns"):
        answer = await api.client.get(
            "/v1/windows",
            params={
                "from": "1997-01-01T00:00:00Z",
                "to": "2027-01-01T00:00:00Z",
                "step": "1d",
                "time_zone": zone,
            },
        )
        (day,) = answer.json()["data"]
        length = datetime.fromisoformat(day["end"]) - datetime.fromisoformat(day["start"])
        assert (day["count"], length) == (1, timedelta(days=1))
