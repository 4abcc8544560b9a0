"""Steps and earlier periods follow the calendar of the time zone."""

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.query.periods import STEP_S, earlier, period_of

BERLIN = "Europe/Berlin"
STEPS = st.sampled_from(["10s", "1m", "5m", "15m", "1h", "1d", "1w", "1mo"])


def local_s(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).timestamp())


@given(st.integers(0, 2**31), st.integers(1, 400), STEPS, st.sampled_from(["UTC", BERLIN]))
def test_steps_cover_the_range_without_gaps(start: int, count: int, step, zone: str) -> None:
    from_s = start // 10 * 10
    to_s = from_s + min(count * 10, 40 * 86_400)
    bounds = period_of(from_s, to_s, step, zone).bounds_s
    assert bounds[0] <= from_s < bounds[1]
    assert bounds[-2] < to_s <= bounds[-1]
    assert all(0 < end - begin <= 31 * 86_400 + 3_600 for begin, end in pairwise(bounds))
    if STEP_S[step] <= 3_600:
        assert all(end - begin == STEP_S[step] for begin, end in pairwise(bounds))


def test_months_and_weeks_begin_at_local_midnight() -> None:
    months = period_of(local_s("2026-09-15"), local_s("2026-12-01"), "1mo", BERLIN).bounds_s
    starts = ["2026-09-01", "2026-10-01", "2026-11-01", "2026-12-01"]
    assert months == tuple(local_s(each) for each in starts)
    weeks = period_of(local_s("2026-10-20"), local_s("2026-10-27"), "1w", BERLIN).bounds_s
    assert weeks == tuple(local_s(each) for each in ("2026-10-19", "2026-10-26", "2026-11-02"))


@pytest.mark.parametrize(
    ("begin", "end", "offset_s", "earlier_begin", "earlier_end"),
    [
        ("2026-10-26", "2026-10-27", None, "2026-10-25", "2026-10-26"),  # that day has 25 hours
        ("2026-10-26", "2026-10-27", 86_400, "2026-10-25", "2026-10-26"),
        ("2026-10-19", "2026-10-26", None, "2026-10-12", "2026-10-19"),
        ("2026-11-01T12:00", "2026-11-01T18:00", None, "2026-11-01T06:00", "2026-11-01T12:00"),
        ("2026-11-01T12:00", "2026-11-01T18:00", 7 * 86_400, "2026-10-25T12:00",
         "2026-10-25T18:00"),
    ],
)  # fmt: skip
def test_earlier_days_are_days_of_the_time_zone(
    begin: str, end: str, offset_s: int | None, earlier_begin: str, earlier_end: str
) -> None:
    period = period_of(local_s(begin), local_s(end), "1h", BERLIN)
    found = earlier(period, offset_s, "1h", BERLIN)
    assert (found.from_s, found.to_s) == (local_s(earlier_begin), local_s(earlier_end))
