"""Every instant belongs to exactly one period of each kind."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.control.periods import CALENDAR, FOREVER_US, period_bounds, rolling_us

ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York")
YEARS = st.integers(0, 2_000_000_000_000_000)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), YEARS)
def test_a_period_contains_its_instants_and_ends_where_the_next_begins(
    period: str, zone: str, at_us: int
) -> None:
    start_us, end_us = period_bounds(period, zone, at_us)
    assert start_us <= at_us < end_us
    assert period_bounds(period, zone, start_us) == (start_us, end_us)
    assert period_bounds(period, zone, end_us - 1) == (start_us, end_us)
    assert period_bounds(period, zone, end_us)[0] == end_us


@given(st.sampled_from(ZONES), YEARS)
def test_weeks_begin_on_monday_midnight(zone: str, at_us: int) -> None:
    start_us, _ = period_bounds("week", zone, at_us)
    local = datetime.fromtimestamp(start_us / 1e6, UTC).astimezone(ZoneInfo(zone))
    assert (local.weekday(), local.hour, local.minute) == (0, 0, 0)


def test_a_week_with_a_change_of_the_clocks_has_an_hour_less_or_more() -> None:
    spring = period_bounds("week", "Europe/Berlin", at("2026-03-27T12:00:00+00:00"))
    autumn = period_bounds("week", "Europe/Berlin", at("2026-10-23T12:00:00+00:00"))
    assert [(end - start) // 3_600_000_000 for start, end in (spring, autumn)] == [167, 169]


def test_an_hour_of_a_zone_with_half_an_hour_begins_at_half_past() -> None:
    start_us, end_us = period_bounds("hour", "Asia/Kolkata", at("2026-11-21T12:10:00+00:00"))
    assert (start_us, end_us) == (at("2026-11-21T11:30:00+00:00"), at("2026-11-21T12:30:00+00:00"))


@pytest.mark.parametrize("period", ["total", "rolling_24h", "rolling_7d"])
def test_a_period_without_an_end_has_one_state(period: str) -> None:
    assert period_bounds(period, "UTC", at("2026-11-21T12:00:00+00:00")) == (0, FOREVER_US)


@pytest.mark.parametrize(
    ("period", "hours"),
    [("rolling_24h", 24), ("rolling_31d", 744), ("rolling_745h", 0), ("rolling_0d", 0), ("day", 0)],
)
def test_a_rolling_period_has_hours_or_days(period: str, hours: int) -> None:
    assert rolling_us(period) == hours * 3_600_000_000
