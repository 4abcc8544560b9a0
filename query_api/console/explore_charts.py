"""Make the charts of Explore from the rows that ``/v1/query`` returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

from query_api.console.charts import ROWS_MAX, Chart, Color, Kind, Series, Step, Unit
from query_api.console.explore_filters import Term, list_address
from query_api.console.explore_query import Asked
from query_api.console.form_bodies import FormError
from query_api.console.page import View
from query_api.console.query_rows import answered, answered_rows
from query_api.query.answers import Answer, AnswerRow
from query_api.query.chart_kinds import OF_VALUES
from query_api.query.engine import BYTES_UNIT, ROWS_UNIT, rounded_up
from query_api.query.request import is_additive
from query_api.times import SECOND_US

COLORS: Final[tuple[Color, ...]] = (
    "generation", "agent", "tool", "retriever", "bad", "good", "accent", "warn",
)  # fmt: skip
OTHER: Final = "\x00other"
PREVIOUS: Final = "\x00previous"
"""Names of series that the template replaces, and which no group has."""
HEATS: Final = 7
"""Number of colours of a heatmap."""
_OF_RANGE: Final = frozenset({"from", "to", "view", "time_zone", "filter", "filters"})
"""Fields of a body that select its rows."""
BUCKETS_MAX: Final = 64
"""Maximum number of rows of a heatmap, or bars of a distribution; values beyond are in the last."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group, or all others together, with its values and its place among all."""

    names: tuple[str, ...]
    is_other: bool
    href: str
    """The traces or observations behind it; empty: no list can show them."""
    values: Mapping[str, float | None]
    changes: Mapping[str, float | None]

    @property
    def name(self) -> str:
        return OTHER if self.is_other else name_of(self.names)


@dataclass(frozen=True, slots=True)
class Column:
    """A step of a heatmap: counts by bucket, and one path for each colour."""

    label: str
    href: str
    counts: Sequence[int]
    paths: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Counts by step and bucket; buckets go upwards from the smallest."""

    columns: Sequence[Column]
    buckets: Sequence[tuple[float, float]]
    hrefs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sources:
    """What an answer was read from, and how exact it is."""

    names: Sequence[str]
    rows: int
    bytes: int
    percentile_error: float | None
    fresh_until_us: int | None
    step: str | None


@dataclass(frozen=True, slots=True)
class Explored:
    """A chart, or several of the same kind, one for each measure."""

    asked: Asked
    measures: tuple[str, ...]
    charts: Mapping[str, Chart]
    groups: Sequence[Group]
    heatmap: Heatmap | None
    sources: Sources
    is_empty: bool
    unpriced: int
    """Calls without a price, which the costs of the chart do not include."""

    def largest(self, measure: str) -> float:
        """Return the largest size of a value of a measure among the groups; 0 without any."""
        named = [each.values[measure] for each in self.groups if not each.is_other]
        return max((abs(each) for each in named if each is not None), default=0)


def unit_of(measure: str) -> Unit:
    """Return the unit of a measure of ``/v1/query``."""
    base = measure.partition(".")[0]
    if base.endswith("_usd"):
        return "usd"
    return "duration" if base.endswith("_ms") else "number"


def name_of(names: Sequence[str]) -> str:
    """Return the name of a group of several dimensions; empty if all are."""
    return " · ".join(each or "–" for each in names) if any(names) else ""


def for_templates(view: View) -> dict[str, Any]:
    """Return what ``explore_parts.html`` needs beside an ``Explored``."""
    return {
        "explore_text": partial(_text, view),
        "explore_raw": partial(_raw_text, view),
        "explore_other": OTHER,
        "explore_previous": PREVIOUS,
    }


def _text(view: View, name: str, value: float | None) -> str:
    return Chart(unit_of(name), (), ()).text_of(view.formats, value)


def _raw_text(view: View, name: str, value: Any) -> str:
    """Return the text of a value of an answer."""
    return _text(view, name, _number(name, value))


async def read_explored(view: View, asked: Asked, at_us: int) -> Explored:
    """Answer the query of a chart as ``POST /v1/query`` does, and make the chart.

    Raises:
        FormError: the query is invalid; the messages are by the parts of the body.
        BadRequestError, TooCostlyError, UnavailableError: as ``answer_of``.
    """
    answer = await answered(view.context, view.project_id, asked.full, at_us)
    request = answer.now.request
    names = (*request.shown, *request.formulas)
    made = _Maker(view, asked, answer)
    charts: Mapping[str, Chart] = {}
    heatmap = None
    if asked.kind in {"line", "columns"}:
        charts = {name: made.over_time(name) for name in names}
    elif asked.kind == "distribution":
        charts = {names[0]: made.distribution(names[0])}
    elif asked.kind == "heatmap":
        heatmap = made.heatmap(names[0])
    has_costs = asked.view == "observations" and any(unit_of(each) == "usd" for each in names)
    return Explored(
        asked,
        names,
        charts,
        made.groups(names),
        heatmap,
        _sources(answer),
        made.is_empty(names),
        await _unpriced(view, asked, at_us) if has_costs else 0,
    )


async def _unpriced(view: View, asked: Asked, at_us: int) -> int:
    """Return the number of all calls of a chart without a price."""
    kept = {name: each for name, each in asked.full.items() if name in _OF_RANGE}
    rows = await answered_rows(
        view.context, view.project_id, {**kept, "measures": ["unpriced"]}, at_us
    )
    return sum(row.values["unpriced"] or 0 for row in rows)


class _Maker:
    def __init__(self, view: View, asked: Asked, answer: Answer) -> None:
        self._view = view
        self._asked = asked
        self._answer = answer
        bounds_s = answer.now.period.bounds_s
        self._steps = list(pairwise(bounds_s))
        if len(self._steps) > ROWS_MAX:
            raise FormError({"step": f"more than {ROWS_MAX} steps; choose longer ones"})
        self._base = view.path()
        self._order: dict[str, int] = {}

    def listed(self, terms: Sequence[Term], bounds_us: tuple[int, int] | None = None) -> str:
        """Return the address of what is behind a part of a chart; empty if no list shows it."""
        asked = self._asked
        own = {each.field for each in terms if each.is_exact}
        if not asked.unlisted <= own:
            return ""
        # A repeated field has any of its values, and the part has only one of them.
        others = (each for each in asked.terms if not (each.is_exact and each.field in own))
        return list_address(self._base, asked.view, bounds_us or asked.bounds_us, (*others, *terms))

    def is_empty(self, names: Sequence[str]) -> bool:
        """Whether there is no value at all, or only zeros."""
        rows = self._answer.rows
        return not any(_is_value(row.values.get(name)) for row in rows for name in names)

    def groups(self, names: Sequence[str]) -> list[Group]:
        """Return the groups of an answer without steps; with steps, each without its values,
        in the order in which they are drawn.
        """
        found: dict[str, Group] = {}
        if self._asked.kind in OF_VALUES:
            return []
        has_values = not self._steps
        for row in self._answer.rows:
            group = self._group(row, names if has_values else ())
            found.setdefault(group.name, group)
        order = self._order
        return sorted(
            found.values(), key=lambda each: (each.is_other, order.get(each.name, len(order)))
        )

    def _group(self, row: AnswerRow, names: Sequence[str]) -> Group:
        terms = [Term(name, ":", value) for name, value in row.group.items()]
        changes = row.change or {}
        return Group(
            tuple(row.group.values()),
            row.is_other,
            "" if row.is_other else self.listed(terms),
            {name: _number(name, row.values.get(name)) for name in names},
            {name: changes.get(name) for name in names} if row.previous is not None else {},
        )

    def over_time(self, name: str) -> Chart:
        request = self._answer.now.request
        at_of = {start_s: at for at, (start_s, _) in enumerate(self._steps)}
        metric = next((each for each in request.metrics if each.name == name), None)
        adds = metric is not None and is_additive(metric)
        counts = adds or (metric is not None and metric.aggregation == "uniq")
        lines: dict[str, list[float | None]] = {}
        earlier: list[float | None] = [None] * len(self._steps)
        for row in self._answer.rows:
            key = OTHER if row.is_other else name_of(tuple(row.group.values()))
            empty: list[float | None] = [0 if counts else None] * len(self._steps)
            at = at_of.get(row.start_s or 0, 0)
            lines.setdefault(key, empty)[at] = _number(name, row.values.get(name))
            if row.previous is not None and not request.group_by:
                earlier[at] = _number(name, row.previous.get(name))
        # A group has the same colour in the charts of all measures.
        if not self._order:
            largest = sorted(lines, key=lambda key: (key == OTHER, -_total(lines[key])))
            self._order = {key: at for at, key in enumerate(largest)}
        is_stacked = self._asked.kind == "columns" and adds
        series = [
            _series(key, lines[key], at, is_stacked=is_stacked) for key, at in self._order.items()
        ]
        if any(each is not None for each in earlier):
            series.append(Series(PREVIOUS, earlier, "dashed", "span"))
        return Chart(unit_of(name), self._labelled(), series)

    def _labelled(self) -> list[Step]:
        time = self._view.formats.time
        bounds = [(start * SECOND_US, end * SECOND_US) for start, end in self._steps]
        return [Step(time(each[0]), *each, self.listed((), each)) for each in bounds]

    def distribution(self, name: str) -> Chart:
        buckets = _buckets(self._answer.rows, name)
        found = self._answer.rows[0].values[name] if self._answer.rows else []
        counts = _counts(found, buckets)
        steps = [
            Step(f"≥ {_raw_text(self._view, name, low)}", href=self._of_bucket(name, low, high))
            for low, high in buckets
        ]
        return Chart("number", steps, (Series("count", counts, "bar"),), has_zoom=False)

    def heatmap(self, name: str) -> Heatmap:
        buckets = _buckets(self._answer.rows, name)
        by_start = {row.start_s: row.values[name] for row in self._answer.rows}
        counted = [_counts(by_start.get(start_s, []), buckets) for start_s, _ in self._steps]
        most = max((count for each in counted for count in each), default=0)
        columns = [
            Column(step.label, step.href, counts, _paths(at, counts, len(buckets), most))
            for at, (step, counts) in enumerate(zip(self._labelled(), counted, strict=True))
        ]
        return Heatmap(columns, buckets, [self._of_bucket(name, *each) for each in buckets])

    def _of_bucket(self, name: str, low: float, high: float) -> str:
        base = name.removesuffix(".histogram")
        if base in {"latency_ms", "ttft_ms"}:
            bounds = (f"{low / 1_000:.9g}", f"{high / 1_000:.9g}")
        elif base == "cost_usd":
            bounds = (f"{low:.12f}", f"{high:.12f}")
        else:
            return ""
        return self.listed((Term(base, ">=", bounds[0]), Term(base, "<", bounds[1])))


def _series(name: str, values: Sequence[float | None], at: int, *, is_stacked: bool) -> Series:
    color: Color = "span" if name == OTHER else COLORS[at % len(COLORS)]
    kind: Kind = "stacked" if is_stacked else "line" if at < len(COLORS) else "dashed"
    return Series(name, values, kind, color)


def _number(measure: str, value: Any) -> float | None:
    """Return a value in the unit of charts: dollars, microseconds, or a number."""
    if value is None or isinstance(value, list | dict):
        return None
    number = float(value) * (1_000 if unit_of(measure) == "duration" else 1)
    # Whole numbers are shown without decimals.
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _total(values: Sequence[float | None]) -> float:
    return math.fsum(each or 0 for each in values)


def _is_value(value: Any) -> bool:
    return bool(value) if isinstance(value, list) else value is not None and float(value) != 0


def _buckets(rows: Sequence[AnswerRow], name: str) -> list[tuple[float, float]]:
    """Return all buckets between the smallest and the largest that have values."""
    lows = [each["from"] for row in rows for each in row.values[name]]
    if not lows:
        return []
    first, last = (round(2 * math.log2(low)) for low in (min(lows), max(lows)))
    first = max(first, last - BUCKETS_MAX + 1)
    bounds = [float(f"{2 ** (at / 2):.6g}") for at in range(first, last + 2)]
    return list(pairwise(bounds))


def _counts(
    found: Sequence[Mapping[str, Any]], buckets: Sequence[tuple[float, float]]
) -> list[int]:
    by_low: dict[float, int] = {}
    smallest = buckets[0][0] if buckets else 0.0
    for each in found:
        low = max(each["from"], smallest)
        by_low[low] = by_low.get(low, 0) + each["count"]
    return [by_low.get(low, 0) for low, _ in buckets]


def _paths(x: int, counts: Sequence[int], rows: int, most: int) -> dict[int, str]:
    """Return a path for each colour; a cell has the size one, and the first row is the lowest."""
    paths: dict[int, str] = {}
    for at, count in enumerate(counts):
        if count:
            heat = 1 + round((HEATS - 1) * math.log1p(count - 1) / (math.log1p(most - 1) or 1))
            paths[heat] = paths.get(heat, "") + f"M{x} {rows - 1 - at}h1v1h-1z"
    return paths


def _sources(answer: Answer) -> Sources:
    return Sources(
        answer.sources,
        rounded_up(answer.statistics.rows_read, ROWS_UNIT),
        rounded_up(answer.statistics.bytes_read, BYTES_UNIT),
        answer.percentile_relative_error,
        answer.fresh_until_us,
        answer.now.request.step,
    )
