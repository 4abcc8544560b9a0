"""Check the query strings of pages whose views are saved, as the pages themselves do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, get_args
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams

from query_api.console.explore_query import asked_of, query_of
from query_api.console.form_bodies import body_of
from query_api.console.listing import ListKind, listing_of
from query_api.console.pages import observations, owners, traces
from query_api.context import PageQuery
from query_api.errors import BadRequestError
from query_api.settings import QuerySettings
from query_api.v1.query_bodies import QueryBody
from query_api.v1.saved_views import PageName
from tracemill.clock import now_us

PARAMETERS_MAX: Final = 60
_OF_RANGE: Final = ("range", "from", "to")
_OF_ROWS: Final = ("q", "order", "columns", *_OF_RANGE)
_OF_EXPLORE: Final = (
    "kind", "view", "measure", "formula", "by", "q", "step", "top", "compare", *_OF_RANGE,
)  # fmt: skip
Parse = Callable[[QueryParams, QuerySettings], str]


def _page(names: tuple[str, ...], parse: Parse) -> PageQuery:
    """Return the function that checks the query strings of a page with these parameters."""

    def checked(query: str, settings: QuerySettings) -> str:
        try:
            pairs = parse_qsl(
                query.removeprefix("?"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX
            )
        except ValueError as error:
            raise BadRequestError(f"at most {PARAMETERS_MAX} parameters are allowed") from error
        for name, _ in pairs:
            if name not in names:
                message = f"{name[:64]!r} is not one of {', '.join(names)}"
                raise BadRequestError(message, allowed=names)
        return parse(QueryParams(pairs), settings)

    return checked


def _of_list(kind: ListKind) -> Parse:
    def parse(parameters: QueryParams, _: QuerySettings) -> str:
        listing = listing_of(parameters, kind, now_us())
        kind.search.conditions_of(listing.search)
        return listing.url().removeprefix("?")

    return parse


def _of_owners(parameters: QueryParams, _: QuerySettings) -> str:
    time_range, order = owners.range_and_order(parameters, now_us())
    return urlencode({**time_range.parameters, "order": order})


def _of_query(parameters: QueryParams, settings: QuerySettings) -> str:
    at_us = now_us()
    query = query_of(parameters, at_us)
    body_of(QueryBody, asked_of(query, "UTC", at_us).full).request("", at_us, settings)
    return urlencode(query.parameters)


PAGE_QUERIES: Final[Mapping[str, PageQuery]] = MappingProxyType(
    {
        "traces": _page(_OF_ROWS, _of_list(traces.LIST)),
        "observations": _page(_OF_ROWS, _of_list(observations.LIST)),
        "sessions": _page(("order", *_OF_RANGE), _of_owners),
        "users": _page(("order", *_OF_RANGE), _of_owners),
        "explore": _page(_OF_EXPLORE, _of_query),
    }
)
"""The pages of which views are saved."""
assert PAGE_QUERIES.keys() == set(get_args(PageName))
