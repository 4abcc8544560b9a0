"""Compute budget periods: calendar days and months of an IANA time zone.

Both the streams and the query API use this module, so that their periods are the same.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Period = Literal["day", "month"]

FOREVER_US: Final = 7_258_118_400_000_000
"""End of periods without an end: the year 2200."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=1024)
def zone_of(time_zone: str) -> ZoneInfo:
    """Return the time zone with an IANA name, such as ``Europe/Berlin``.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise ValueError(f"unknown time zone {time_zone!r}") from error


def period_bounds(period: Period, time_zone: str, at_us: int) -> tuple[int, int]:
    """Return the start and the end (exclusive) of an instant's period, in µs since the epoch.

    A period begins at the first instant of its local day. If the clocks are set forward at
    midnight, this is the first instant after it; if they are set back over midnight, it is the
    first midnight. A period ends where the next one begins, so every instant belongs to exactly one
    period.

    Raises:
        ValueError: the time zone is unknown, or the year is not between 2 and 9998.
    """
    zone = zone_of(time_zone)
    try:
        local = (_EPOCH + at_us * _MICROSECOND).astimezone(zone)
    except OverflowError as error:
        raise ValueError(f"there is no calendar date for {at_us} µs since the epoch") from error
    if not 1 < local.year < 9999:
        raise ValueError(f"the year {local.year} is not supported")
    first = local.date() if period == "day" else local.date().replace(day=1)
    start_us, end_us = _begin_us(first, zone), _begin_us(_next(period, first), zone)
    if at_us >= end_us:
        # The clocks were set back over midnight: the next day has already begun.
        first = _next(period, first)
        start_us, end_us = end_us, _begin_us(_next(period, first), zone)
    return start_us, end_us


def _next(period: Period, first: date) -> date:
    if period == "day":
        return first + timedelta(days=1)
    return (first + timedelta(days=32)).replace(day=1)


@lru_cache(maxsize=4096)
def _begin_us(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins; ``fold=0`` is correct for skipped and repeated midnights."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight.astimezone(UTC) - _EPOCH) // _MICROSECOND
