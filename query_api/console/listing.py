"""Read which rows a list shows from its query string: search, time range, order and page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams

from query_api import cursors
from query_api.console.page import View, text_of
from query_api.console.search import Search, term
from query_api.console.time_ranges import ALL, PRESETS, TimeRange, time_range_of
from query_api.errors import BadRequestError
from query_api.store.conditions import Column, Condition
from query_api.times import InstantUs
from tracemill.clock import now_us

ROWS: Final = 50
OFFSET_MAX: Final = 10_000
"""Maximum number of rows before a page that is not sorted by time; there are no later pages."""
PREVIEW_CHARS: Final = 240
PREVIEWS: Final = tuple(
    f"leftUTF8({name}, {PREVIEW_CHARS}) AS {name}" for name in ("input", "output")
)
"""Columns of the store: the beginnings of inputs and outputs."""
DEFAULT_RANGE: Final = "7d"


RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class ListKind:
    """What a list offers: its search, orders (the first one is by time), and columns to choose."""

    search: Search
    orders: Sequence[str]
    columns: tuple[str, ...] = ()
    default_columns: tuple[str, ...] = ()


class RowPosition(msgspec.Struct):
    """The last row of a page, and the number of rows before the next one."""

    at_us: InstantUs
    id: str
    trace_id: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """What a query string selects; ``by_time`` is the name of the order by time."""

    search: str
    range: TimeRange
    order: str
    descending: bool
    position: RowPosition | None
    by_time: str
    columns: tuple[str, ...] = ()
    default_columns: tuple[str, ...] = ()

    @property
    def is_by_time(self) -> bool:
        return self.order == self.by_time

    @property
    def offset(self) -> int:
        return 0 if self.is_by_time or self.position is None else self.position.offset

    @property
    def hidden(self) -> dict[str, str]:
        """Return the parameters without the search and the page, for forms."""
        return self._given("")

    def url(self, **changed: str) -> str:
        """Return the query string with some parameters changed; empty ones are left out."""
        given = self._given(self.search) | changed
        found = {name: each for name, each in given.items() if each}
        return f"?{urlencode(found)}"

    def _given(self, search: str) -> dict[str, str]:
        direction = "desc" if self.descending else "asc"
        columns = "" if self.columns == self.default_columns else ",".join(self.columns)
        given = {
            "q": search,
            **self.range.parameters,
            "order": f"{self.order}.{direction}",
            "columns": columns,
        }
        defaults = {"range": DEFAULT_RANGE, "order": f"{self.by_time}.desc"}
        return {name: each for name, each in given.items() if each and defaults.get(name) != each}

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

    def after(self, last: RowPosition) -> str:
        """Return the query string of the page after a row; empty if there is none."""
        last.offset = 0 if self.is_by_time else self.offset + ROWS
        return self.url(cursor=cursors.encode(last)) if last.offset <= OFFSET_MAX else ""

    def in_range(self, start: Column) -> tuple[Condition, ...]:
        """Return the conditions of the range on the column of the start."""
        from_us, to_us = self.range.from_us, self.range.to_us
        since = () if from_us is None else (Condition(start, "ge", from_us),)
        return since if to_us is None else (*since, Condition(start, "lt", to_us))


async def values_of_list(
    view: View, kind: ListKind, read: Callable[[View, Listing], Awaitable[tuple[list[RowT], str]]]
) -> dict[str, Any]:
    """Return the values of a template that shows a list; a fault of the query string is one.

    ``read`` returns the rows, and the query string of the next page, which is empty on the last.
    """
    listing = _default_listing(view, kind)
    fault, rows, following = "", list[RowT](), ""
    try:
        listing = listing_of(view.request.query_params, kind, now_us())
        rows, following = await read(view, listing)
    except BadRequestError as error:
        fault = error.message
    return {
        "listing": listing,
        "rows": rows,
        "following": following,
        "fault": fault,
        "status": 422 if fault else 200,
        "presets": (*PRESETS, ALL),
        "starts": kind.search.starts(),
    }


def listing_of(parameters: QueryParams, kind: ListKind, at_us: int) -> Listing:
    """Return what the query string of a page selects at a time.

    A form sends each chosen column as a parameter, an address all of them with commas.

    Raises:
        BadRequestError: the range, the order, a column or the cursor is invalid.
    """
    orders, columns = kind.orders, kind.columns
    order, _, direction = (text_of(parameters, "order") or orders[0]).partition(".")
    if order not in orders or direction not in {"", "asc", "desc"}:
        message = f"order: must be one of {', '.join(orders)}, with .asc or .desc after it"
        raise BadRequestError(message, field="order")
    cursor = text_of(parameters, "cursor")
    position = cursors.decode(cursor, RowPosition) if cursor else None
    if position is not None and not 0 <= position.offset <= OFFSET_MAX:
        raise BadRequestError("cursor: not a cursor of this page", field="cursor")
    given = ",".join(parameters.getlist("columns"))
    chosen = set(filter(None, given.split(",")))
    if not chosen <= set(columns):
        message = f"columns: must be of {', '.join(columns)}, separated by commas"
        raise BadRequestError(message, field="columns", allowed=columns)
    return Listing(
        text_of(parameters, "q"),
        time_range_of(parameters, at_us, DEFAULT_RANGE),
        order,
        direction != "asc",
        position,
        orders[0],
        tuple(each for each in columns if each in chosen) or kind.default_columns,
        kind.default_columns,
    )


def _default_listing(view: View, kind: ListKind) -> Listing:
    """Return what is shown for an invalid query string: its search, and defaults."""
    default = TimeRange(DEFAULT_RANGE, None, None)
    order, columns = kind.orders[0], kind.default_columns
    return Listing(view.parameter("q"), default, order, True, None, order, columns, columns)
