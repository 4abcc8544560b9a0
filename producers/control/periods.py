"""Compute budget periods: calendar periods of an IANA time zone, and rolling ones.

Both the streams and the query API use this module, so that their periods are the same.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

CALENDAR: Final = ("hour", "day", "week", "month")
TOTAL: Final = "total"
ROLLING_H_MAX: Final = 744
"""Longest rolling period: 31 days."""
ALLOWED: Final = (
    f"{', '.join(CALENDAR)}, {TOTAL}, or rolling_ with hours or days up to 31 days, such as"
    " rolling_24h or rolling_7d"
)
QUARTER_US: Final = 900_000_000
"""Spend is stored by quarters of an hour; rolling periods consist of whole ones."""
FOREVER_US: Final = 7_258_118_400_000_000
"""End of periods without an end: the year 2200."""

_ROLLING: Final = re.compile(r"rolling_([1-9]\d{0,2})([hd])", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR_US: Final = 3_600_000_000


def period_name(name: str) -> str:
    """Return the name of a period.

    Raises:
        ValueError: there is no such period.
    """
    if name not in (*CALENDAR, TOTAL) and not rolling_us(name):
        raise ValueError(f"must be {ALLOWED}, not {name[:64]!r}")
    return name


Period = Annotated[str, AfterValidator(period_name)]
"""``hour``, ``day``, ``week`` (from Monday), ``month``, ``total``, or such as ``rolling_24h``."""


def rolling_us(period: str) -> int:
    """Return the length of a rolling period in microseconds; 0 for other periods."""
    match = _ROLLING.fullmatch(period)
    if match is None:
        return 0
    hours = int(match.group(1)) * (24 if match.group(2) == "d" else 1)
    return hours * _HOUR_US if hours <= ROLLING_H_MAX else 0


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


def period_bounds(period: str, time_zone: str, at_us: int) -> tuple[int, int]:
    """Return the start and the end (exclusive) of an instant's period, in µs since the epoch.

    ``total`` and rolling periods have no bounds: 0 and ``FOREVER_US``.

    A day begins at the first instant of its local date. If the clocks are set forward at midnight,
    this is the first instant after it; if they are set back over midnight, it is the first
    midnight. A period ends where the next one begins, so every instant belongs to exactly one
    period. Hours are those of the zone's standard time, so that none is longer or shorter.

    Raises:
        ValueError: the time zone is unknown, or the year is not between 2 and 9998.
    """
    zone = zone_of(time_zone)
    if period not in CALENDAR:
        return 0, FOREVER_US
    try:
        local = (_EPOCH + at_us * _MICROSECOND).astimezone(zone)
    except OverflowError as error:
        raise ValueError(f"there is no calendar date for {at_us} µs since the epoch") from error
    if not 1 < local.year < 9999:
        raise ValueError(f"the year {local.year} is not supported")
    if period == "hour":
        standard = (local.utcoffset() or timedelta()) - (local.dst() or timedelta())
        start_us = at_us - (at_us + standard // _MICROSECOND) % _HOUR_US
        return start_us, start_us + _HOUR_US
    first = _first(period, local.date())
    start_us, end_us = _begin_us(first, zone), _begin_us(_next(period, first), zone)
    if at_us >= end_us:
        # The clocks were set back over midnight: the next day has already begun.
        first = _next(period, first)
        start_us, end_us = end_us, _begin_us(_next(period, first), zone)
    return start_us, end_us


def _first(period: str, day: date) -> date:
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def _next(period: str, first: date) -> date:
    if period == "month":
        return (first + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if period == "week" else 1)


@lru_cache(maxsize=4096)
def _begin_us(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins; ``fold=0`` is correct for skipped and repeated midnights."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight.astimezone(UTC) - _EPOCH) // _MICROSECOND
