"""Find the next trace or observation of the queue of annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from query_api.console.annotation import SOURCE
from query_api.console.listing import Listing, ListKind, RowPosition
from query_api.console.observation_search import OBSERVATION_SEARCH
from query_api.console.page import View
from query_api.console.trace_search import TRACE_SEARCH
from query_api.store.columns import (
    OBSERVATION_COLUMNS,
    SCORE_COLUMNS,
    TRACE_COLUMNS,
    TRACE_ORDER,
)
from query_api.store.conditions import Condition
from query_api.store.newest import find_newest
from query_api.store.observation_pages import read_page
from query_api.store.queries.observations import FindObservations, Position, ReadObservations
from query_api.store.queries.scores import NOT_CORRECTIONS, FindScores
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import (
    OBSERVATION_KEY,
    OBSERVATION_WHOLE,
    TRACE_CORE,
    TRACE_DETAIL,
    StoredObservation,
    StoredScore,
    StoredTrace,
)
from query_api.store.trace_reading import (
    IdOfTrace,
    fill_io_from_root_observation,
    read_observations,
    read_traces,
)
from tracemill.clock import now_us

LISTS: Final = {
    False: ListKind(TRACE_SEARCH, ("timestamp",)),
    True: ListKind(OBSERVATION_SEARCH, ("startTime",)),
}
"""The searches of queues, by whether they are of observations."""
LOOKED_AT: Final = 50
"""Rows of which the queue reads at once whether they are scored."""
LOOKS_MAX: Final = 10
"""Maximum number of such reads for a page."""
SCORES_MAX: Final = 5_000
"""Maximum number of scores of such a read."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is scored: a trace, or an observation of it."""

    row: StoredTrace | StoredObservation
    trace_id: str
    observation_id: str
    """Empty: it is a trace."""
    path: str


async def next_subject(
    view: View, listing: Listing, *, of_observations: bool, only_unscored: bool
) -> tuple[list[Subject], str]:
    """Return the next row of a queue, and the query string of the one after it.

    Without a row, the query string continues the search, if rows are left that were not looked at.
    """
    position, limit = listing.position, LOOKED_AT if only_unscored else 2
    for _ in range(LOOKS_MAX):
        found, is_end = await _candidates(view, listing, position, limit, of_observations)
        left = await _unscored(view, found) if only_unscored else found
        for each in left:
            if subject := await _read(view, each):
                return subject, "" if is_end and each == found[-1] else listing.after(each)
        if is_end:
            return [], ""
        position = found[-1] if found else position
    return [], "" if position is None else listing.after(position)


async def _candidates(
    view: View,
    listing: Listing,
    position: RowPosition | None,
    limit: int,
    of_observations: bool,
) -> tuple[list[RowPosition], bool]:
    """Return the rows after a position, newest first, and whether there are no more.

    Rows of traces have no trace id; those of traces that were deleted meanwhile are left out.
    """
    reader, search = view.context.reader, listing.search
    newest_us = position.at_us if position else listing.range.to_us or now_us()
    if of_observations:
        observations = await read_page(
            reader,
            FindObservations(
                view.project_id,
                (
                    *listing.in_range(OBSERVATION_COLUMNS["startTime"]),
                    *OBSERVATION_SEARCH.conditions_of(search),
                ),
                limit,
                below=Position(position.at_us, position.trace_id, position.id)
                if position
                else None,
            ),
            OBSERVATION_KEY,
            from_us=listing.range.from_us,
            newest_us=newest_us,
        )
        rows = [RowPosition(each.start_us, each.id, each.trace_id) for each in observations]
        return rows, len(rows) < limit
    query = FindTraces(
        view.project_id,
        (*listing.in_range(TRACE_COLUMNS["timestamp"]), *TRACE_SEARCH.conditions_of(search)),
        TRACE_ORDER["timestamp"],
        True,
        limit,
        after=(position.at_us, position.id) if position else None,
    )
    found = await find_newest(
        reader, query, IdOfTrace, from_us=listing.range.from_us, newest_us=newest_us
    )
    traces = await read_traces(reader, view.project_id, [each.id for each in found], TRACE_CORE)
    rows = [RowPosition(traces[e.id].start_us, e.id) for e in found if e.id in traces]
    return rows, len(found) < limit


async def _unscored(view: View, rows: Sequence[RowPosition]) -> list[RowPosition]:
    """Return the rows without an annotation, whoever made it."""
    if not rows:
        return []
    conditions = [
        NOT_CORRECTIONS,
        Condition(SCORE_COLUMNS["source"], "eq", SOURCE),
        Condition(SCORE_COLUMNS["traceId"], "in", tuple({e.trace_id or e.id for e in rows})),
    ]
    query = FindScores(view.project_id, tuple(conditions), SCORES_MAX)
    scores = await view.context.reader.rows(query, StoredScore)
    scored = {(each.trace_id, each.observation_id) for each in scores}
    return [e for e in rows if (e.trace_id or e.id, e.id if e.trace_id else "") not in scored]


async def _read(view: View, position: RowPosition) -> list[Subject]:
    """Read a row with its texts; nothing if it was deleted meanwhile."""
    reader = view.context.reader
    if position.trace_id:
        query = ReadObservations(
            view.project_id,
            trace_ids=(position.trace_id,),
            ids=(position.id,),
            columns=OBSERVATION_WHOLE,
        )
        return [
            Subject(each, each.trace_id, each.id, view.path("traces", each.trace_id))
            for each in await read_observations(reader, query)
        ]
    traces = await read_traces(reader, view.project_id, [position.id], TRACE_DETAIL)
    await fill_io_from_root_observation(reader, list(traces.values()))
    return [Subject(each, each.id, "", view.path("traces", each.id)) for each in traces.values()]
