"""Compute line charts that templates draw as SVG, so that they need no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1_000
HEIGHT: Final = 240
"""Size of a chart, in units of its coordinates; the style sheet scales it."""
COLOURS: Final = 6
"""Lines after these have the colour of all others."""
HEADROOM: Final = 1.06
"""Lowest ratio of the value at the upper edge to the highest one."""
EDGES: Final = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
"""Values at the upper edge, times a power of ten, whose halves have few digits, too."""

WHOLE_EDGES: Final = (1, 2, 3, 4, 5, 6, 8, 10)
"""Those of numbers of minutes and hours."""
MINUTE_S: Final = 60
HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class LineSeries:
    """Values over time, None without data. Times are in seconds since the epoch."""

    name: str
    points: Sequence[tuple[int, float | None]]
    is_dashed: bool = False
    colour: int = 0
    """From 1; 0: that of its place."""


@dataclass(frozen=True, slots=True)
class Line:
    """A series as a path in the chart."""

    name: str
    path: str
    dots: Sequence[tuple[float, float]]
    """Points without neighbours, which a path would not show."""
    colour: int
    """From 1; 0 if there are too many lines."""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line, such as a limit."""

    value: float
    y: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of time; both ends are equal for an event."""

    from_x: float
    to_x: float
    kind: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines, levels and marks in the coordinates of the chart; y grows downwards."""

    lines: Sequence[Line]
    levels: Sequence[Level]
    marks: Sequence[Mark]
    top: float
    """Value at the upper edge; the lower edge is ``bottom``."""
    bottom: float
    from_s: int
    to_s: int

    width: int = WIDTH
    height: int = HEIGHT


def line_chart(
    series: Sequence[LineSeries],
    *,
    from_s: int,
    to_s: int,
    levels: Sequence[float] = (),
    marks: Sequence[tuple[int, int, str]] = (),
    step_s: int = 0,
    of_seconds: bool = False,
) -> LineChart:
    """Return a chart of series between two times, with levels and marks.

    If values are ``of_seconds``, the upper edge is a whole number of minutes or hours, too. Points
    that are more than three times ``step_s`` apart are not connected; 0: all are.
    """
    values = [value for each in series for _, value in each.points if value is not None]
    highest, lowest = max([*values, *levels, 0.0]), min([*values, *levels, 0.0])
    top = (
        upper_edge(highest, of_seconds=of_seconds)
        if highest > 0
        else (1.0 if highest == lowest else 0.0)
    )
    bottom = lowest * HEADROOM

    def x(at_s: int) -> float:
        return round(WIDTH * (min(max(at_s, from_s), to_s) - from_s) / max(1, to_s - from_s), 2)

    def y(value: float) -> float:
        return round(HEIGHT * (top - value) / (top - bottom), 2)

    def line(number: int, each: LineSeries) -> Line:
        runs: list[list[tuple[float, float]]] = []
        before_s: int | None = None
        for at_s, value in each.points:
            if value is None:
                before_s = None
                continue
            is_apart = before_s is None or (step_s and at_s - before_s > 3 * step_s)
            if is_apart:
                runs.append([])
            runs[-1].append((x(at_s), y(value)))
            before_s = at_s
        path = "".join(
            "M" + "L".join(f"{px:g} {py:g}" for px, py in run) for run in runs if len(run) > 1
        )
        dots = [run[0] for run in runs if len(run) == 1]
        colour = each.colour or (number if number <= COLOURS else 0)
        return Line(each.name, path, dots, colour, each.is_dashed)

    return LineChart(
        [line(number, each) for number, each in enumerate(series, 1)],
        [Level(value, y(value)) for value in levels],
        [Mark(x(start_s), x(end_s), kind) for start_s, end_s, kind in marks],
        top,
        bottom,
        from_s,
        to_s,
    )


def upper_edge(highest: float, *, of_seconds: bool = False) -> float:
    """Return a round value above the highest one, which is positive.

    A duration from one minute is a whole number of minutes or hours, of which half is one of
    seconds or minutes.
    """
    least = highest * HEADROOM
    if of_seconds and least > MINUTE_S / 2:
        unit_s = MINUTE_S if least <= HOUR_S / 2 else HOUR_S
        return unit_s * (1 if least <= unit_s else _decimal_edge(least / unit_s, WHOLE_EDGES))
    return _decimal_edge(least, EDGES)


def _decimal_edge(least: float, edges: Sequence[float]) -> float:
    unit = 10.0 ** math.floor(math.log10(least))
    return next((edge * unit for edge in edges if edge * unit >= least), least)
