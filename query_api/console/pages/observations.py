"""List the observations of a project: search, sort, and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from producers.console_paths import project_path
from producers.token_sides import tokens_of
from query_api.console.listing import (
    PREVIEWS,
    ROWS,
    Listing,
    ListKind,
    RowPosition,
    values_of_list,
)
from query_api.console.observation_search import OBSERVATION_SEARCH
from query_api.console.page import Page, View
from query_api.store.columns import OBSERVATION_COLUMNS, OBSERVATION_ORDER
from query_api.store.observation_pages import read_page
from query_api.store.queries.observations import FindObservations, Position
from query_api.store.rows import OBSERVATION_NUMBERS, StoredObservation
from query_api.store.summaries import mark_summaries
from tracemill.clock import now_us

ORDERS: Final = ("startTime", *OBSERVATION_ORDER)
COLUMNS: Final = ("type", "model", "preview", "user", "latency", "ttft", "tokens", "cost")
"""Columns that can be chosen, in order; time and name are always shown."""
DEFAULT_COLUMNS: Final = ("model", "preview", "latency", "ttft", "tokens", "cost")
LIST: Final = ListKind(OBSERVATION_SEARCH, ORDERS, COLUMNS, DEFAULT_COLUMNS)


@dataclass(frozen=True, slots=True)
class ObservationLine:
    """An observation as the list shows it."""

    observation: StoredObservation
    path: str
    duration_us: int | None
    ttft_us: int | None
    tokens: int


async def show(view: View) -> Response:
    """Show a page of observations, newest first unless another order is chosen."""
    return view.render("observations.html", **await values_of_list(view, LIST, _read))


async def _read(view: View, listing: Listing) -> tuple[list[ObservationLine], str]:
    """Return the rows, and the address of the next page; empty if this is the last one."""
    position = listing.position
    query = FindObservations(
        view.project_id,
        (
            *listing.in_range(OBSERVATION_COLUMNS["startTime"]),
            *OBSERVATION_SEARCH.conditions_of(listing.search),
        ),
        ROWS + 1,
        offset=listing.offset,
        below=Position(position.at_us, position.trace_id, position.id)
        if position is not None and listing.is_by_time
        else None,
        order=OBSERVATION_ORDER.get(listing.order, ""),
        descending=listing.descending,
    )
    found = await read_page(
        view.context.reader,
        query,
        (*OBSERVATION_NUMBERS, *PREVIEWS),
        from_us=listing.range.from_us,
        newest_us=position.at_us if position else listing.range.to_us or now_us(),
    )
    rows = found[:ROWS]
    await mark_summaries(view.context.reader, view.project_id, rows)
    following = ""
    if len(found) > ROWS:
        last = rows[-1]
        following = listing.after(RowPosition(last.start_us, last.id, last.trace_id))
    return [_line(each) for each in rows], following


def _line(row: StoredObservation) -> ObservationLine:
    trace = project_path(row.project_id, "traces", row.trace_id)
    ends = row.end_us >= row.start_us
    has_first = row.completion_start_us >= row.start_us
    return ObservationLine(
        row,
        f"{trace}?observation={quote(row.id, safe='')}",
        row.end_us - row.start_us if ends else None,
        row.completion_start_us - row.start_us if has_first else None,
        tokens_of(row.usage)[2],
    )


REGISTERED = (Page("/observations", show, title="Observations", place=25),)
