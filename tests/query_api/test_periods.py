from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.control.periods import period_bounds

HOUR_US = 3_600_000_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Africa/Cairo")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("UTC", "2026-11-21T12:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
        # The clocks go forward in Berlin: a day of 23 hours; back: one of 25.
        ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        # Cairo skips midnight: the day begins at one o'clock.
        ("Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
        # Havana has midnight twice: the day begins with the first.
        ("America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        # Samoa left out the 30th of December 2011.
        ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ],
)
def test_a_day_begins_with_its_first_local_instant(
    zone: str, at: str, start: str, end: str
) -> None:
    assert period_bounds("day", zone, us(at)) == (us(start), us(end))


def test_a_month_follows_the_local_calendar() -> None:
    bounds = period_bounds("month", "America/New_York", us("2026-03-01T04:59:59Z"))
    assert bounds == (us("2026-02-01T05:00:00Z"), us("2026-03-01T05:00:00Z"))
    assert period_bounds("month", "UTC", us("2026-12-31T23:59:59Z"))[1] == us(
        "2027-01-01T00:00:00Z"
    )


def test_a_day_that_began_stays_begun_when_the_clocks_go_back_over_midnight() -> None:
    """St. John's went from 00:01 back to 23:01 of the day before."""
    midnight = us("2006-10-29T02:30:00Z")
    for at_us in (midnight, midnight + 30_000_000, midnight + HOUR_US // 2):
        assert period_bounds("day", "America/St_Johns", at_us)[0] == midnight
    assert period_bounds("day", "America/St_Johns", midnight - 1)[1] == midnight


@given(
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(("day", "month")),
    at_us=st.integers(us("1975-01-01T00:00:00Z"), us("2060-01-01T00:00:00Z")),
)
def test_every_instant_belongs_to_exactly_one_period(zone: str, period: str, at_us: int) -> None:
    start_us, end_us = period_bounds(period, zone, at_us)  # type: ignore[arg-type]
    assert start_us <= at_us < end_us
    assert period_bounds(period, zone, start_us) == (start_us, end_us)  # type: ignore[arg-type]
    assert period_bounds(period, zone, end_us - 1) == (start_us, end_us)  # type: ignore[arg-type]
    assert period_bounds(period, zone, end_us)[0] == end_us  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", ["", "Europe", "Mars/Olympus", "../etc/passwd", "\0"])
def test_an_unknown_zone_is_a_value_error(zone: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        period_bounds("day", zone, 0)


@pytest.mark.parametrize("at_us", [-(10**18), 10**18, us("9999-12-31T12:00:00Z")])
def test_an_instant_without_a_calendar_is_a_value_error(at_us: int) -> None:
    with pytest.raises(ValueError, match=r"no calendar date|is not supported"):
        period_bounds("month", "UTC", at_us)


def test_local_midnight_is_what_the_wall_clock_shows() -> None:
    start_us, _ = period_bounds("day", "Asia/Kolkata", us("2026-11-21T00:00:00Z"))
    local = (EPOCH + timedelta(microseconds=start_us)).astimezone(ZoneInfo("Asia/Kolkata"))
    assert (local.hour, local.minute) == (0, 0)
