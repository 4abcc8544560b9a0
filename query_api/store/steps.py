"""The steps of a time zone's calendar, and how the store finds the one that holds an instant.

The store is never given a zone's name: it keeps what it loads of each, some megabytes, for as long as it runs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from producers.control.periods import period_bounds, zone_of
from query_api.times import SECOND_US

Step = Literal["1m", "1h", "1d"]

STEP_S: Final[dict[Step, int]] = {"1m": 60, "1h": 3_600, "1d": 86_400}


@dataclass(frozen=True, slots=True)
class Runs:
    """Steps of one length, without a gap: where each run begins, and where its last step does (seconds, as many of either).

    A step's start is ``least(begin + intDiv(at - begin, step_s) * step_s, last)`` in the run that holds the instant, so that
    a last step may be shorter or longer than the others. A zone's run ends where its clocks change.
    """

    step_s: int
    begins: tuple[int, ...]
    lasts: tuple[int, ...]


def step_bounds_s(step: Step, time_zone: str, from_s: int, to_s: int) -> tuple[int, ...]:
    """Where the steps begin that hold the instants from ``from_s`` to ``to_s`` (exclusive), and where the last one ends; seconds.

    A minute is a minute of UTC everywhere. An hour begins with a full hour on the local clock, and where a change of the clocks moves
    the full hours (by half an hour on Lord Howe), so that an hour may be shorter then. A day is that of ``period_bounds``: of 23 to 25 hours
    where the clocks change.

    Raises:
        ValueError: the time zone is unknown.
    """
    match step:
        case "1m":
            starts = iter(range(from_s // 60 * 60, to_s + 60, 60))
        case "1h":
            starts = _hours_s(zone_of(time_zone), from_s)
        case "1d":
            starts = _days_s(time_zone, from_s)
    bounds = [next(starts)]
    while bounds[-1] < to_s:
        bounds.append(next(starts))
    return tuple(bounds)


def runs_of(bounds_s: Sequence[int], step_s: int) -> Runs:
    """What lies between bounds, as few runs."""
    begins, lasts = [bounds_s[0]], [bounds_s[0]]
    for start_s in bounds_s[1:-1]:
        if start_s - lasts[-1] != step_s:
            begins.append(start_s)
            lasts.append(start_s)
        lasts[-1] = start_s
    return Runs(step_s, tuple(begins), tuple(lasts))


def end_s(bounds_s: Sequence[int], start_s: int) -> int:
    """Where the step ends that begins at ``start_s``."""
    return bounds_s[bisect_right(bounds_s, start_s)]


def _days_s(time_zone: str, at_s: int) -> Iterator[int]:
    """Starts of days, from that of the day that holds ``at_s``."""
    start_us, end_us = period_bounds("day", time_zone, at_s * SECOND_US)
    yield start_us // SECOND_US
    while True:
        yield end_us // SECOND_US
        _, end_us = period_bounds("day", time_zone, end_us)


def _hours_s(zone: ZoneInfo, at_s: int) -> Iterator[int]:
    """Starts of hours, from that of the hour that holds ``at_s``."""
    shift_s = _shift_s(zone, at_s)
    start_s = at_s - (at_s + shift_s) % 3_600
    if _shift_s(zone, start_s) != shift_s:
        start_s = _change_s(zone, start_s, at_s)
    while True:
        yield start_s
        shift_s = _shift_s(zone, start_s)
        next_s = start_s + 3_600 - (start_s + shift_s) % 3_600
        if _shift_s(zone, next_s) != shift_s:
            next_s = _change_s(zone, start_s, next_s)
        start_s = next_s


def _shift_s(zone: ZoneInfo, at_s: int) -> int:
    """How far the zone's full hours lie from those of UTC."""
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert offset is not None  # a ZoneInfo has one at every instant
    return int(offset.total_seconds()) % 3_600


def _change_s(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """The first second of the shift that holds at ``after_s``; another one holds at ``before_s``, and the clocks change once between."""
    shift_s = _shift_s(zone, after_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _shift_s(zone, middle_s) == shift_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s
