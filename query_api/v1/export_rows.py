"""Read all traces or observations that meet conditions, page by page, for exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from query_api import metrics
from query_api.context import AppContext
from query_api.errors import TooCostlyError
from query_api.query.dimension import View
from query_api.store.columns import OBSERVATION_COLUMNS, TRACE_COLUMNS
from query_api.store.conditions import Column, Condition
from query_api.store.queries.observations import (
    CountObservations,
    FindObservations,
    Position,
    ReadObservations,
)
from query_api.store.queries.traces import CountTraces, FindTraces
from query_api.store.rows import OBSERVATION_WHOLE, TRACE_WHOLE, StoredObservation, StoredTrace
from query_api.store.trace_reading import (
    IdOfTrace,
    fill_io_from_root_observation,
    read_observations,
    read_traces,
)
from query_api.v1.call_tree import is_unpriced

PAGE_ROWS: Final = 500
"""Rows that are read, and kept in memory, at a time; fewer if a limit of the store is reached."""
Row = dict[str, Any]
"""Values by field; times are microseconds in UTC, and amounts picodollars."""
Key = TypeVar("Key")
Found = TypeVar("Found")
Pages = Callable[[AppContext, str, tuple[Condition, ...]], AsyncIterator[list[Row]]]


class _Total(msgspec.Struct):
    total: int


class _Key(msgspec.Struct):
    start_us: int
    trace_id: str
    id: str


@dataclass(frozen=True, slots=True)
class Table:
    """What can be exported: how it is counted, filtered and read, newest rows first."""

    view: View
    fields: tuple[str, ...]
    columns: Mapping[str, Column]
    start: str
    """The column of the start."""
    count: Callable[[str, tuple[Condition, ...]], CountTraces | CountObservations]
    pages: Pages


async def count_rows(
    context: AppContext, project_id: str, table: Table, conditions: tuple[Condition, ...]
) -> int:
    """Return the number of rows of an export.

    Raises:
        TooCostlyError: there are more than ``export_rows_max``.
        UnavailableError: as ``Reader.rows``.
    """
    (found,) = await context.reader.rows(table.count(project_id, conditions), _Total)
    limit = context.settings.export_rows_max
    if found.total > limit:
        metrics.LIMITS_REACHED.labels("export_rows_max").inc()
        raise TooCostlyError(
            f"the export has {found.total} rows, and at most {limit} are allowed"
            " (export_rows_max); reduce the range or add filters"
        )
    return found.total


async def _trace_pages(
    context: AppContext, project_id: str, conditions: tuple[Condition, ...]
) -> AsyncIterator[list[Row]]:
    async def read(ids: Sequence[str]) -> list[StoredTrace]:
        found = await read_traces(context.reader, project_id, ids, TRACE_WHOLE)
        traces = [found[each] for each in ids if each in found]
        await fill_io_from_root_observation(context.reader, traces)
        return traces

    after: tuple[int, str] | None = None
    while True:
        query = FindTraces(project_id, conditions, limit=PAGE_ROWS, after=after)
        ids = [each.id for each in await context.reader.rows(query, IdOfTrace)]
        last: StoredTrace | None = None
        async for traces in _in_parts(ids, read):
            yield [_trace_row(each) for each in traces]
            last = traces[-1] if traces else last
        # A row that was deleted between both queries has no position.
        if len(ids) < PAGE_ROWS or last is None:
            return
        after = (last.start_us, last.id)


async def _observation_pages(
    context: AppContext, project_id: str, conditions: tuple[Condition, ...]
) -> AsyncIterator[list[Row]]:
    async def read(keys: Sequence[_Key]) -> list[Row]:
        query = ReadObservations(
            project_id,
            trace_ids=tuple(dict.fromkeys(each.trace_id for each in keys)),
            ids=tuple(dict.fromkeys(each.id for each in keys)),
            from_us=keys[-1].start_us,
            to_us=keys[0].start_us,
            columns=OBSERVATION_WHOLE,
        )
        rows = await read_observations(context.reader, query)
        found = {(row.trace_id, row.id): row for row in rows}
        wanted = ((each.trace_id, each.id) for each in keys)
        return [_observation_row(found[key]) for key in wanted if key in found]

    below: Position | None = None
    while True:
        query = FindObservations(project_id, conditions, PAGE_ROWS, below=below)
        keys = await context.reader.rows(query, _Key)
        async for rows in _in_parts(keys, read):
            yield rows
        if len(keys) < PAGE_ROWS:
            return
        last = keys[-1]
        below = Position(last.start_us, last.trace_id, last.id)


async def _in_parts(
    keys: Sequence[Key], read: Callable[[Sequence[Key]], Awaitable[list[Found]]]
) -> AsyncIterator[list[Found]]:
    """Return the rows of a page; in smaller parts if they reach a limit, such as long texts do.

    Raises:
        TooCostlyError: a single row reaches a limit.
        UnavailableError: as ``Reader.rows``.
    """
    size, at = len(keys), 0
    while at < len(keys):
        try:
            rows = await read(keys[at : at + size])
        except TooCostlyError:
            if size == 1:
                raise
            size = -(-size // 2)
            continue
        yield rows
        at += size


def _trace_row(row: StoredTrace) -> Row:
    return {
        "id": row.id,
        "name": row.name,
        "start": row.start_us,
        "end": row.end_us if row.end_us >= row.start_us else None,
        "latency_ms": _ms(row.start_us, row.end_us),
        "user_id": row.user_id,
        "session_id": row.session_id,
        "environment": row.environment,
        "release": row.release,
        "version": row.version,
        "tags": list(row.tags),
        "level": row.level,
        "observations": row.observation_count,
        "errors": row.error_count,
        "cost_usd": row.total_cost_pico,
        "unpriced": row.unpriced_count,
        "tokens": dict(row.usage),
        "input": row.input,
        "output": row.output,
        "metadata": row.metadata,
    }


def _observation_row(row: StoredObservation) -> Row:
    return {
        "id": row.id,
        "trace_id": row.trace_id,
        "parent_id": row.parent_id,
        "type": row.type,
        "name": row.name,
        "model": row.model,
        "start": row.start_us,
        "end": row.end_us if row.end_us >= row.start_us else None,
        "latency_ms": _ms(row.start_us, row.end_us),
        "ttft_ms": _ms(row.start_us, row.completion_start_us),
        "level": row.level,
        "status_message": row.status_message,
        "user_id": row.user_id,
        "session_id": row.session_id,
        "environment": row.environment,
        "version": row.version,
        "prompt_name": row.prompt_name,
        "prompt_version": row.prompt_version or None,
        "cost_usd": row.total_cost_pico,
        "cost_source": row.cost_source,
        "unpriced": int(is_unpriced(row)),
        "tokens": dict(row.usage),
        "input": row.input,
        "output": row.output,
        "metadata": row.metadata,
    }


def _ms(start_us: int, end_us: int) -> float | None:
    return (end_us - start_us) / 1_000 if end_us >= start_us else None


TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        "traces": Table(
            "traces",
            tuple(_trace_row(StoredTrace(project_id="", id="", start_us=0, row_version=0))),
            TRACE_COLUMNS,
            "timestamp",
            CountTraces,
            _trace_pages,
        ),
        "observations": Table(
            "observations",
            tuple(
                _observation_row(
                    StoredObservation(project_id="", trace_id="", id="", start_us=0, row_version=0)
                )
            ),
            OBSERVATION_COLUMNS,
            "startTime",
            CountObservations,
            _observation_pages,
        ),
    }
)
