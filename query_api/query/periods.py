"""Compute the steps of a query, and the earlier period that it is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from producers.control.periods import period_bounds, zone_of
from query_api.store.steps import Runs, runs_of, step_bounds_s
from query_api.times import SECOND_US

QueryStep = Literal["10s", "1m", "5m", "15m", "1h", "1d", "1w", "1mo"]
STEP_S: Final[dict[QueryStep, int]] = {
    "10s": 10, "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400, "1w": 604_800,
    "1mo": 28 * 86_400,
}  # fmt: skip
"""Minimum lengths in UTC; hours, days, weeks and months are those of the time zone."""
_CALENDAR: Final[dict[QueryStep, str]] = {"1d": "day", "1w": "week", "1mo": "month"}
_MONTH_S: Final = 400 * 86_400
"""Longer than any month, so that each one is a run of its own."""
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Period:
    """A range of time, and the bounds of its steps; without steps, there are none."""

    from_s: int
    to_s: int
    bounds_s: tuple[int, ...] = ()
    runs: Runs | None = None


def period_of(from_s: int, to_s: int, step: QueryStep | None, time_zone: str) -> Period:
    """Return a range with its steps, of which the first one may begin before the range."""
    if step is None:
        return Period(from_s, to_s)
    bounds_s = _bounds_s(step, time_zone, from_s, to_s)
    length_s = _MONTH_S if step == "1mo" else STEP_S[step]
    return Period(from_s, to_s, bounds_s, runs_of(bounds_s, length_s))


def earlier(period: Period, offset_s: int | None, step: QueryStep | None, time_zone: str) -> Period:
    """Return the same range ``offset_s`` earlier; None: the one that ends where this begins.

    Whole days are days of the time zone, which may have 23 or 25 hours.
    """
    if offset_s is None:
        offset_s = _length_s(period, time_zone)
    from_s, to_s = (_before_s(at_s, offset_s, time_zone) for at_s in (period.from_s, period.to_s))
    return period_of(from_s, to_s, step, time_zone)


def _length_s(period: Period, time_zone: str) -> int:
    """Return the length of a range, in days of 24 hours if it has whole days in local time."""
    zone = zone_of(time_zone)
    begin, end = (
        datetime.fromtimestamp(at_s, zone).replace(tzinfo=None)
        for at_s in (period.from_s, period.to_s)
    )
    local_s = (end - begin) // timedelta(seconds=1)
    return local_s if local_s > 0 and local_s % DAY_S == 0 else period.to_s - period.from_s


def _before_s(at_s: int, offset_s: int, time_zone: str) -> int:
    if offset_s % DAY_S:
        return at_s - offset_s
    zone = zone_of(time_zone)
    local = datetime.fromtimestamp(at_s, zone) - timedelta(seconds=offset_s)
    return int(local.astimezone(UTC).timestamp())


def _bounds_s(step: QueryStep, time_zone: str, from_s: int, to_s: int) -> tuple[int, ...]:
    if step == "10s" or step == "1m" or step == "1h" or step == "1d":  # noqa: PLR1714  # narrows
        return step_bounds_s(step, time_zone, from_s, to_s)
    bounds = []
    for start_s in _starts_s(step, time_zone, from_s):
        bounds.append(start_s)
        if start_s >= to_s:
            break
    return tuple(bounds)


def _starts_s(step: QueryStep, time_zone: str, at_s: int) -> Iterator[int]:
    """Yield the starts of steps, from the step that contains ``at_s``."""
    name = _CALENDAR.get(step)
    if name is None:
        at_s -= at_s % STEP_S[step]
        while True:
            yield at_s
            at_s += STEP_S[step]
    start_us, end_us = period_bounds(name, time_zone, at_s * SECOND_US)
    yield start_us // SECOND_US
    while True:
        yield end_us // SECOND_US
        _, end_us = period_bounds(name, time_zone, end_us)
