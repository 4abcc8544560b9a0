"""Answer a query: rows with values, earlier values and changes, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from query_api.query.engine import QueryEngine
from query_api.query.page_groups import with_groups_of_page
from query_api.query.planned_query import (
    START_COLUMN,
    PlannedQuery,
    cursor_text,
    percentile_error,
    plan_earlier,
    plan_query,
)
from query_api.query.request import QueryRequest, require_rows_at_most
from query_api.query.values import Shown, changes, shown_value, with_formulas
from query_api.store.queries.aggregates import Aggregate
from query_api.store.reader import Statistics

Raw = dict[str, Any]
Key = tuple[int, tuple[str, ...], bool]
"""Number of the step, dimensions, and whether other groups are combined."""


@dataclass(slots=True)
class AnswerRow:
    """Values of a step and group; without steps, ``start_s`` and ``end_s`` are None."""

    start_s: int | None
    end_s: int | None
    group: dict[str, str]
    is_other: bool
    values: Shown
    previous: Shown | None = None
    change: dict[str, float | None] | None = None


@dataclass(slots=True)
class Answer:
    """Rows of a page, and what they were computed from."""

    now: PlannedQuery
    before: PlannedQuery | None
    rows: list[AnswerRow]
    cursor: str | None
    """None: it is the last page."""
    sources: list[str]
    """As of ``sources_of``."""
    percentile_relative_error: float | None
    fresh_until_us: int | None
    statistics: Statistics = field(default_factory=Statistics)


async def answer_of(engine: QueryEngine, request: QueryRequest) -> Answer:
    """Answer a query of a project.

    Raises:
        BadRequestError: the query is invalid.
        TooCostlyError: there are too many rows, or a limit of the store was reached.
        UnavailableError: the store does not respond.
    """
    fresh_until_us = engine.fresh_until_us()
    statistics = Statistics()
    planned = await plan_query(engine, request)
    now, groups = await with_groups_of_page(engine.reader, planned, statistics)
    found = await _rows(engine, now, statistics)
    if len(found) < groups:
        now = planned
        found = await _rows(engine, now, statistics)
    rows, cursor = _page(now, found, engine)
    before = await plan_earlier(engine, now)
    earlier: Mapping[Key, Raw] = {}
    if before is not None:
        raw = await _rows(engine, before, statistics)
        require_rows_at_most(len(raw), engine.settings)
        earlier = _by_key(before, raw)
    shown = [_shown(now, key, row, earlier if before else None) for key, row in rows]
    return Answer(
        now,
        before,
        shown,
        cursor,
        await sources_of(engine, now.aggregate),
        percentile_error(now.logical),
        fresh_until_us,
        statistics,
    )


async def sources_of(engine: QueryEngine, aggregate: Aggregate) -> list[str]:
    """Return where rows are read: ``stream``, ``rollup``, or the volumes of rows.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.bounded``.
    """
    if aggregate.rolled is not None:
        levels = aggregate.rolled.levels
        is_rolled_up = bool(levels.hourly or levels.daily)
        return [*(["stream"] if levels.windows else []), *(["rollup"] if is_rolled_up else [])]
    if aggregate.source == "spend":
        return ["rollup"]
    volumes = await engine.volumes(aggregate.table, aggregate.from_us, aggregate.to_us)
    return ["rollup", *volumes] if aggregate.of_traces else volumes


async def _rows(engine: QueryEngine, each: PlannedQuery, statistics: Statistics) -> list[Raw]:
    measured = await engine.reader.measured(each.aggregate)
    statistics.rows_read += measured.statistics.rows_read
    statistics.bytes_read += measured.statistics.bytes_read
    return measured.data


def _page(
    now: PlannedQuery, found: list[Raw], engine: QueryEngine
) -> tuple[list[tuple[Key, Raw]], str | None]:
    """Return the rows of the page, and the cursor of the next one."""
    request = now.request
    keyed = list(_by_key(now, found).items())
    if request.is_series:
        keyed = _series(now, dict(keyed))
    elif not request.group_by:
        keyed = keyed or [((0, (), False), {})]
    elif request.top is not None:
        require_rows_at_most(len(keyed), engine.settings)
        return _with_others_last(now, keyed), None
    if len(keyed) <= request.limit:
        return keyed, None
    page = keyed[: request.limit]
    key, raw = page[-1]
    keys: list[str | int] = [*([_start_s(now, key)] if request.step else []), *key[1]]
    value = keys[0] if request.is_series else raw.get(now.order[0])
    return page, cursor_text(now, value, keys)


def _with_others_last(now: PlannedQuery, rows: list[tuple[Key, Raw]]) -> list[tuple[Key, Raw]]:
    """Return rows in their order, but the combined groups after all others of their step.

    If rows are not sorted by start, they are after those of all steps.
    """
    is_by_start = now.order[0] == START_COLUMN
    places = {key[0]: place for place, (key, _) in enumerate(reversed(rows))}
    return sorted(rows, key=lambda row: (-places[row[0][0]] if is_by_start else 0, row[0][2]))


def _series(now: PlannedQuery, found: Mapping[Key, Raw]) -> list[tuple[Key, Raw]]:
    """Return every step after the cursor, also those without rows."""
    column, is_descending = now.order
    steps = [(key, found.get(key, {})) for key in _steps(now)]
    if column != START_COLUMN:
        # Nulls are last, and equal values are sorted by start.
        steps.sort(key=lambda step: _sortable(step[1].get(column)), reverse=is_descending)
        steps.sort(key=lambda step: step[1].get(column) is None)
    elif is_descending:
        steps.reverse()
    if now.cursor is None:
        return steps
    starts = [_start_s(now, key) for key, _ in steps]
    last_s = now.cursor.keys[0]
    return steps[starts.index(last_s) + 1 :] if last_s in starts else []


def _sortable(value: Any) -> Any:
    if isinstance(value, str):
        return float(value)
    return 0 if value is None else value


def _steps(now: PlannedQuery) -> Iterator[Key]:
    for at in range(len(now.period.bounds_s) - 1):
        yield at, (), False


def _start_s(now: PlannedQuery, key: Key) -> int:
    return now.period.bounds_s[key[0]]


def _by_key(each: PlannedQuery, rows: list[Raw]) -> dict[Key, Raw]:
    """Return rows by step and group, in their order."""
    request = each.request
    number_of = {start_s: at for at, start_s in enumerate(each.period.bounds_s)}
    columns = [f"d{at}" for at in range(len(request.group_by))]
    return {
        (
            number_of[row[START_COLUMN]] if request.step is not None else 0,
            tuple(_text(row[column]) for column in columns),
            bool(row.get("is_other", False)),
        ): row
        for row in rows
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _shown(now: PlannedQuery, key: Key, raw: Raw, earlier: Mapping[Key, Raw] | None) -> AnswerRow:
    at, dimensions, is_other = key
    request = now.request
    names = (each.name for each in request.group_by)
    start_s = end_s = None
    if request.step is not None:
        start_s, end_s = now.period.bounds_s[at : at + 2]
    row = AnswerRow(
        start_s,
        end_s,
        {} if is_other else dict(zip(names, dimensions, strict=True)),
        is_other,
        _values(request, raw),
    )
    if earlier is not None:
        row.previous = _values(request, earlier.get(key, {}))
        row.change = changes(row.values, row.previous)
    return row


def _values(request: QueryRequest, raw: Raw) -> Shown:
    values = {
        metric.name: shown_value(metric, raw.get(f"m{number}"))
        for number, metric in enumerate(request.metrics)
    }
    return with_formulas(values, request.formulas, request.shown)
