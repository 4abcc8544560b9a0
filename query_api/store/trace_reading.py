"""Read traces with their observations and scores, in several queries.

Observations are first searched around the times of the trace, which skips most partitions. If the
trace has more observations than were found, all partitions are searched. So observations with
unusual timestamps are found as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from clickhouse.rows import ROOT_OF_TRACE
from query_api import metrics
from query_api.errors import NotFoundError, TooManyError
from query_api.store.queries.observations import ListObservationIds, ReadObservations
from query_api.store.queries.scores import ListScoreIds
from query_api.store.queries.traces import FindTraces, ReadTraces
from query_api.store.reader import Reader
from query_api.store.rows import (
    OBSERVATION_KEY,
    OBSERVATION_METADATA,
    OBSERVATION_ROOTNESS,
    OBSERVATION_TEXTS,
    TRACE_WHOLE,
    StoredObservation,
    StoredTrace,
)

MARGIN_US: Final = 600 * 1_000_000
"""Time around a trace that is searched; small, because observations are sorted by minute."""


class IdOfTrace(msgspec.Struct):
    id: str


class IdsOfTrace(msgspec.Struct):
    trace_id: str
    ids: list[str]


async def read_trace(
    reader: Reader, project_id: str, trace_id: str, columns: tuple[str, ...] = TRACE_WHOLE
) -> StoredTrace:
    """Read one trace.

    Raises:
        NotFoundError: The project has no such trace.
    """
    traces = await read_traces(reader, project_id, (trace_id,), columns)
    if trace_id not in traces:
        raise NotFoundError(f"Trace {trace_id[:128]} not found within authorized project")
    return traces[trace_id]


async def read_traces(
    reader: Reader, project_id: str, ids: Iterable[str], columns: tuple[str, ...]
) -> dict[str, StoredTrace]:
    """Read traces; return them by id, without those that do not exist."""
    wanted = tuple(dict.fromkeys(ids))
    if not wanted:
        return {}
    rows = await reader.rows(ReadTraces(project_id, wanted, columns), StoredTrace)
    return {row.id: row for row in rows if not row.is_deleted}


async def find_traces(
    reader: Reader, query: FindTraces, columns: tuple[str, ...]
) -> list[StoredTrace]:
    """Read the traces of a query, in its order."""
    ids = [row.id for row in await reader.rows(query, IdOfTrace)]
    found = await read_traces(reader, query.project_id, ids, columns)
    return [found[trace_id] for trace_id in ids if trace_id in found]


async def read_observations(reader: Reader, query: ReadObservations) -> list[StoredObservation]:
    """Read observations, sorted by start, without deleted ones."""
    rows = await reader.rows(query, StoredObservation)
    return sorted(
        (row for row in rows if not row.is_deleted), key=lambda row: (row.start_us, row.id)
    )


async def observations_of(
    reader: Reader, trace: StoredTrace, columns: tuple[str, ...], limit: int
) -> list[StoredObservation]:
    """Read the first ``limit + 1`` observations of a trace; the last shows that there are more."""
    from_us, to_us = _around([trace])
    everywhere = ReadObservations(
        trace.project_id,
        trace_ids=(trace.id,),
        columns=columns,
        first=limit + 1 if trace.observation_count > limit else None,
    )
    near = replace(everywhere, from_us=from_us, to_us=to_us)
    rows = await read_observations(reader, near)
    if len(rows) < min(trace.observation_count, limit + 1):
        rows = await read_observations(reader, everywhere)
    return rows[: limit + 1]


async def whole_observations_of(
    reader: Reader, trace: StoredTrace, columns: tuple[str, ...], limit: int
) -> list[StoredObservation]:
    """Read all observations of a trace.

    Raises:
        TooManyError: There are more than ``limit``.
    """
    rows = await observations_of(reader, trace, columns, limit)
    if len(rows) > limit:
        metrics.LIMITS_REACHED.labels("trace_observations_max").inc()
        raise TooManyError(
            f"the trace has more than {limit} observations; read them page by page from "
            "/api/public/v2/observations"
        )
    return rows


async def observation_ids_of(
    reader: Reader, traces: Sequence[StoredTrace], limit: int
) -> dict[str, list[str]]:
    """Read the ids of the observations of traces, at most ``limit + 1`` per trace."""
    if not traces:
        return {}
    project_id, ids = traces[0].project_id, tuple(trace.id for trace in traces)
    from_us, to_us = _around(traces)
    near = await reader.rows(
        ListObservationIds(project_id, ids, from_us, to_us, limit + 1), IdsOfTrace
    )
    found = {row.trace_id: row.ids for row in near}
    short = tuple(
        trace.id
        for trace in traces
        if len(found.get(trace.id, ())) < min(trace.observation_count, limit + 1)
    )
    if short:
        far = await reader.rows(
            ListObservationIds(project_id, short, ids_per_trace_max=limit + 1), IdsOfTrace
        )
        found.update((row.trace_id, row.ids) for row in far)
    return found


async def score_ids_of(
    reader: Reader, traces: Sequence[StoredTrace], limit: int
) -> dict[str, list[str]]:
    """Read the ids of the scores of traces, at most ``limit + 1`` per trace."""
    if not traces:
        return {}
    ids = tuple(trace.id for trace in traces)
    rows = await reader.rows(ListScoreIds(traces[0].project_id, ids, limit + 1), IdsOfTrace)
    return {row.trace_id: row.ids for row in rows}


async def fill_io_from_root_observation(
    reader: Reader,
    traces: Iterable[StoredTrace],
    observations: Iterable[StoredObservation] = (),
    columns: tuple[str, ...] = (*OBSERVATION_TEXTS, *OBSERVATION_METADATA),
) -> None:
    """Fill empty input, output and metadata of traces from their root observations.

    A trace that a client created by an event of its own has only what such events set. An
    observation whose parent is elsewhere, or has not arrived yet, gives its trace nothing.

    ``observations`` are those that were already read with their texts. ``columns`` select the texts
    of the others.
    """
    incomplete = [
        trace
        for trace in traces
        if trace.root_observation_id
        and not trace.is_declared
        and not (trace.input and trace.output and trace.metadata)
    ]
    roots = {(row.trace_id, row.id): row for row in observations}
    unread = [trace for trace in incomplete if (trace.id, trace.root_observation_id) not in roots]
    if unread:
        roots.update(await _roots_of(reader, unread, columns))
    for trace in incomplete:
        root = roots.get((trace.id, trace.root_observation_id))
        if root is not None and (not root.parent_id or root.app_root == ROOT_OF_TRACE):
            trace.input = trace.input or root.input
            trace.output = trace.output or root.output
            trace.metadata = trace.metadata or root.metadata


async def _roots_of(
    reader: Reader, traces: Sequence[StoredTrace], columns: tuple[str, ...]
) -> dict[tuple[str, str], StoredObservation]:
    """Read root observations with their texts, by trace and id, first around the traces' times."""
    from_us, to_us = _around(traces)
    found: dict[tuple[str, str], StoredObservation] = {}
    for bounds_us in ((from_us, to_us), (None, None)):
        missing = [each for each in traces if (each.id, each.root_observation_id) not in found]
        if missing:
            query = ReadObservations(
                missing[0].project_id,
                tuple(trace.id for trace in missing),
                tuple(trace.root_observation_id for trace in missing),
                from_us=bounds_us[0],
                to_us=bounds_us[1],
                columns=(*OBSERVATION_KEY, *OBSERVATION_ROOTNESS, *columns),
            )
            rows = await read_observations(reader, query)
            found.update(((row.trace_id, row.id), row) for row in rows)
    return found


def _around(traces: Sequence[StoredTrace]) -> tuple[int, int]:
    earliest = min(trace.start_us for trace in traces)
    latest = max(max(trace.start_us, trace.end_us) for trace in traces)
    return earliest - MARGIN_US, latest + MARGIN_US
