"""List the traces of a project: search, sort, and pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

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
from query_api.console.page import Page, View
from query_api.console.trace_search import TRACE_SEARCH
from query_api.store.columns import TRACE_COLUMNS, TRACE_ORDER
from query_api.store.newest import find_newest
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import IS_DECLARED, TRACE_CORE, StoredTrace
from query_api.store.trace_reading import (
    IdOfTrace,
    fill_io_from_root_observation,
    read_traces,
)
from tracemill.clock import now_us

ORDERS: Final = ("timestamp", "latency", "totalCost", "name")
COLUMNS: Final = ("preview", "user", "session", "release", "latency", "tokens", "calls", "cost")
"""Columns that can be chosen, in order; time and name are always shown."""
DEFAULT_COLUMNS: Final = ("preview", "user", "latency", "tokens", "cost")
_COLUMNS: Final = (*TRACE_CORE, *PREVIEWS, f"{IS_DECLARED} AS is_declared", "'{}' AS metadata")
LIST: Final = ListKind(TRACE_SEARCH, ORDERS, COLUMNS, DEFAULT_COLUMNS)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace as the list shows it."""

    trace: StoredTrace
    path: str
    duration_us: int | None
    tokens: int


async def show(view: View) -> Response:
    """Show a page of traces, newest first unless another order is chosen."""
    return await show_list(view)


async def show_list(
    view: View,
    *,
    status: int = 200,
    dataset: str = "",
    faults: Mapping[str, str] | None = None,
    chosen: Collection[str] = (),
) -> Response:
    """Show the list, with what the form below it contains, and why it was refused."""
    values = await values_of_list(view, LIST, _read)
    listing, settings = values["listing"], view.context.settings
    is_empty = not (values["rows"] or values["fault"] or listing.search)
    if status != 200 and not values["fault"]:
        values["status"] = status
    return view.render(
        "traces.html",
        **values,
        dataset=dataset,
        faults=faults or {},
        chosen=chosen,
        is_new=is_empty and await _is_new(view),
        origin=settings.public_url.rstrip("/") or str(view.request.base_url).rstrip("/"),
        public_key=view.session.principal.public_key,
    )


async def _read(view: View, listing: Listing) -> tuple[list[TraceRow], str]:
    """Return the rows, and the address of the next page; empty if this is the last one."""
    reader, position = view.context.reader, listing.position
    query = FindTraces(
        view.project_id,
        (
            *listing.in_range(TRACE_COLUMNS["timestamp"]),
            *TRACE_SEARCH.conditions_of(listing.search),
        ),
        TRACE_ORDER[listing.order],
        listing.descending,
        ROWS + 1,
        offset=listing.offset,
        after=(position.at_us, position.id) if listing.is_by_time and position else None,
    )
    if listing.is_by_time and listing.descending:
        newest_us = position.at_us if position else listing.range.to_us or now_us()
        found = await find_newest(
            reader, query, IdOfTrace, from_us=listing.range.from_us, newest_us=newest_us
        )
    else:
        found = await reader.rows(query, IdOfTrace)
    by_id = await read_traces(reader, view.project_id, (each.id for each in found[:ROWS]), _COLUMNS)
    traces = [by_id[each.id] for each in found[:ROWS] if each.id in by_id]
    await fill_io_from_root_observation(reader, traces, columns=PREVIEWS)
    following = ""
    if len(found) > ROWS and traces:
        following = listing.after(RowPosition(traces[-1].start_us, traces[-1].id))
    return [_row(each) for each in traces], following


def _row(trace: StoredTrace) -> TraceRow:
    return TraceRow(
        trace,
        project_path(trace.project_id, "traces", trace.id),
        trace.end_us - trace.start_us if trace.end_us >= trace.start_us else None,
        tokens_of(trace.usage)[2],
    )


async def _is_new(view: View) -> bool:
    """Return whether the project has no traces at all."""
    return not await view.context.reader.rows(FindTraces(view.project_id, limit=1), IdOfTrace)


REGISTERED = (Page("/traces", show, title="Traces", place=20),)
