"""Compute the steps of a time zone, from ten seconds to days, in a form that the store can use.

Time zones are never passed to the store, because it uses some megabytes for each one and never
releases them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from producers.control.periods import period_bounds, zone_of
from query_api.store.sql import Binder
from query_api.times import SECOND_US

Step = Literal["10s", "1m", "1h", "1d"]

STEP_S: Final[dict[Step, int]] = {"10s": 10, "1m": 60, "1h": 3_600, "1d": 86_400}


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of consecutive steps of equal length, in seconds since the epoch.

    ``begins`` has the start of each run, and ``lasts`` the start of its last step, which may have
    another length. The step of a time in a run starts at ``least(begin + intDiv(at - begin, step_s)
    * step_s, last)``. A run ends where the offset of the zone changes.
    """

    step_s: int
    begins: tuple[int, ...]
    lasts: tuple[int, ...]


def step_bounds_s(step: Step, time_zone: str, from_s: int, to_s: int) -> tuple[int, ...]:
    """Return the bounds of the steps from ``from_s`` to ``to_s`` (exclusive).

    Shorter steps are those of UTC. Hours start at full hours of local time. If a change of the
    offset moves the full hours (on Lord Howe Island, by half an hour), an hour also starts at the
    change. Days are those of ``period_bounds``.

    Raises:
        ValueError: The time zone is unknown.
    """
    match step:
        case "10s" | "1m":
            step_s = STEP_S[step]
            starts = iter(range(from_s // step_s * step_s, to_s + step_s, step_s))
        case "1h":
            starts = _hours_s(zone_of(time_zone), from_s)
        case "1d":
            starts = _days_s(time_zone, from_s)
    bounds = [next(starts)]
    while bounds[-1] < to_s:
        bounds.append(next(starts))
    return tuple(bounds)


def runs_of(bounds_s: Sequence[int], step_s: int) -> Runs:
    """Combine the steps between bounds into as few runs as possible."""
    begins, lasts = [bounds_s[0]], [bounds_s[0]]
    for start_s in bounds_s[1:-1]:
        if start_s - lasts[-1] != step_s:
            begins.append(start_s)
            lasts.append(start_s)
        lasts[-1] = start_s
    return Runs(step_s, tuple(begins), tuple(lasts))


def step_start_sql(runs: Runs, column: str, binder: Binder) -> tuple[str, str]:
    """Return the ``WITH`` clause of a query by step, and SQL of the start of the step of a row.

    ``column`` is the time of a row.
    """
    begins, lasts = (binder.bind(list(each), "Array(Int64)") for each in (runs.begins, runs.lasts))
    step_s = binder.bind(runs.step_s, "Int64")
    times = (
        f"WITH toInt64(toUnixTimestamp({column})) AS at_s,\n"
        f"  roundDown(at_s, {begins}) AS begin_s\n"
    )
    start = (
        f"least(begin_s + intDiv(at_s - begin_s, {step_s}) * {step_s},"
        f" transform(begin_s, {begins}, {lasts})) AS start_s"
    )
    return times, start


def end_s(bounds_s: Sequence[int], start_s: int) -> int:
    """Return the end of the step that starts at ``start_s``."""
    return bounds_s[bisect_right(bounds_s, start_s)]


def _days_s(time_zone: str, at_s: int) -> Iterator[int]:
    """Yield the starts of days, from the day that contains ``at_s``."""
    start_us, end_us = period_bounds("day", time_zone, at_s * SECOND_US)
    yield start_us // SECOND_US
    while True:
        yield end_us // SECOND_US
        _, end_us = period_bounds("day", time_zone, end_us)


def _hours_s(zone: ZoneInfo, at_s: int) -> Iterator[int]:
    """Yield the starts of hours, from the hour that contains ``at_s``."""
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
    """Return the zone's offset from UTC modulo one hour, in seconds."""
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert offset is not None  # a ZoneInfo always has one
    return int(offset.total_seconds()) % 3_600


def _change_s(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """Return the first second with the same shift as ``after_s``, by bisection.

    The shift changes exactly once between ``before_s`` and ``after_s``.
    """
    shift_s = _shift_s(zone, after_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _shift_s(zone, middle_s) == shift_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s
