"""List the traces of a project: search, sort, and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from producers.token_sides import tokens_of
from query_api import cursors
from query_api.console.page import Page, View
from query_api.console.time_ranges import ALL, PRESETS, TimeRange, time_range_of
from query_api.console.trace_search import FIELDS, conditions_of, term
from query_api.errors import BadRequestError
from query_api.store.columns import TRACE_COLUMNS, TRACE_ORDER
from query_api.store.conditions import Condition
from query_api.store.newest import find_newest
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import IS_DECLARED, TRACE_CORE, StoredTrace
from query_api.store.trace_reading import (
    IdOfTrace,
    fill_io_from_root_observation,
    read_traces,
)
from query_api.times import InstantUs
from tracemill.clock import now_us

ROWS: Final = 50
OFFSET_MAX: Final = 10_000
"""Maximum number of rows before a page that is not sorted by time; there are no later pages."""
PREVIEW_CHARS: Final = 240
DEFAULT_RANGE: Final = "7d"
ORDERS: Final = ("timestamp", "latency", "totalCost", "name")
_PREVIEWS: Final = tuple(
    f"leftUTF8({name}, {PREVIEW_CHARS}) AS {name}" for name in ("input", "output")
)
_COLUMNS: Final = (*TRACE_CORE, *_PREVIEWS, f"{IS_DECLARED} AS is_declared", "'{}' AS metadata")


class _Position(msgspec.Struct):
    at_us: InstantUs
    id: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace as the list shows it."""

    trace: StoredTrace
    path: str
    duration_us: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What the query string of the page selects."""

    search: str
    range: TimeRange
    order: str
    descending: bool
    position: _Position | None

    def url(self, **changed: str) -> str:
        """Return the query string with some parameters changed; empty ones are left out."""
        direction = "desc" if self.descending else "asc"
        given = {"q": self.search, **self.range.parameters, "order": f"{self.order}.{direction}"}
        given |= changed
        defaults = {"range": DEFAULT_RANGE, "order": "timestamp.desc"}
        found = {name: each for name, each in given.items() if each and defaults.get(name) != each}
        return f"?{urlencode(found)}"

    def range_url(self, preset: str) -> str:
        """Return the query string with a preset instead of the range."""
        return self.url(**{"from": "", "to": "", "range": preset})

    def order_url(self, order: str) -> str:
        """Return the query string with another order; the same one is reversed."""
        is_reversed = order == self.order and self.descending
        return self.url(order=f"{order}.{'asc' if is_reversed else 'desc'}")

    def term_url(self, field: str, value: str) -> str:
        """Return the query string with one more term."""
        added = term(field, value)
        is_known = f" {added} " in f" {self.search} "
        terms = self.search if is_known else f"{self.search} {added}".strip()
        return self.url(q=terms)


async def show(view: View) -> Response:
    """Show a page of traces, newest first unless another order is chosen."""
    fault, rows, following = "", list[TraceRow](), ""
    try:
        listing = _listing(view)
    except BadRequestError as error:
        fault, listing = error.message, _any(view)
    else:
        try:
            rows, following = await _read(view, listing)
        except BadRequestError as error:
            fault = error.message
    values: dict[str, Any] = {
        "listing": listing,
        "rows": rows,
        "following": following,
        "fault": fault,
        "presets": (*PRESETS, ALL),
        "fields": tuple(FIELDS),
        "is_new": not (rows or fault or listing.search) and await _is_new(view),
        "origin": view.context.settings.public_url.rstrip("/")
        or str(view.request.base_url).rstrip("/"),
        "public_key": view.session.principal.public_key,
    }
    return view.render("traces.html", status=422 if fault else 200, **values)


def _any(view: View) -> Listing:
    """Return what is shown for an invalid query string: its search, and defaults."""
    default = TimeRange(DEFAULT_RANGE, None, None)
    return Listing(view.parameter("q"), default, "timestamp", descending=True, position=None)


def _listing(view: View) -> Listing:
    order, _, direction = (view.parameter("order") or "timestamp.desc").partition(".")
    if order not in ORDERS or direction not in {"", "asc", "desc"}:
        message = f"order: must be one of {', '.join(ORDERS)}, with .asc or .desc after it"
        raise BadRequestError(message, field="order")
    cursor = view.parameter("cursor")
    position = cursors.decode(cursor, _Position) if cursor else None
    if position is not None and not 0 <= position.offset <= OFFSET_MAX:
        raise BadRequestError("cursor: not a cursor of this page", field="cursor")
    return Listing(
        view.parameter("q"),
        time_range_of(view.request.query_params, now_us(), DEFAULT_RANGE),
        order,
        direction != "asc",
        position,
    )


async def _read(view: View, listing: Listing) -> tuple[list[TraceRow], str]:
    """Return the rows, and the address of the next page; empty if this is the last one."""
    reader = view.context.reader
    by_time, position = listing.order == "timestamp", listing.position
    query = FindTraces(
        view.project_id,
        (*_in_range(listing.range), *conditions_of(listing.search)),
        TRACE_ORDER[listing.order],
        listing.descending,
        ROWS + 1,
        offset=0 if by_time or position is None else position.offset,
        after=(position.at_us, position.id) if by_time and position is not None else None,
    )
    if by_time and listing.descending:
        newest_us = position.at_us if position else listing.range.to_us or now_us()
        found = await find_newest(
            reader, query, IdOfTrace, from_us=listing.range.from_us, newest_us=newest_us
        )
    else:
        found = await reader.rows(query, IdOfTrace)
    by_id = await read_traces(reader, view.project_id, (each.id for each in found[:ROWS]), _COLUMNS)
    traces = [by_id[each.id] for each in found[:ROWS] if each.id in by_id]
    await fill_io_from_root_observation(reader, traces, columns=_PREVIEWS)
    following = ""
    if len(found) > ROWS and traces:
        offset = 0 if by_time else query.offset + ROWS
        if offset <= OFFSET_MAX:
            last = _Position(traces[-1].start_us, traces[-1].id, offset)
            following = listing.url(cursor=cursors.encode(last))
    return [_row(each) for each in traces], following


def _in_range(time_range: TimeRange) -> tuple[Condition, ...]:
    start = TRACE_COLUMNS["timestamp"]
    bounds = (("ge", time_range.from_us), ("lt", time_range.to_us))
    return tuple(
        Condition(start, operator, at_us)  # type: ignore[arg-type]
        for operator, at_us in bounds
        if at_us is not None
    )


def _row(trace: StoredTrace) -> TraceRow:
    return TraceRow(
        trace,
        f"/project/{quote(trace.project_id, safe='')}/traces/{quote(trace.id, safe='')}",
        trace.end_us - trace.start_us if trace.end_us >= trace.start_us else None,
        tokens_of(trace.usage)[2],
    )


async def _is_new(view: View) -> bool:
    """Return whether the project has no traces at all."""
    return not await view.context.reader.rows(FindTraces(view.project_id, limit=1), IdOfTrace)


REGISTERED = (Page("/traces", show, title="Traces", place=20),)
