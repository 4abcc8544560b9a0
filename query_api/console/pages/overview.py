"""Show the cost, latency and errors of a project, and what contributes most to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from query_api.console.dimension_filters import (
    NAMES,
    Filters,
    checked_name,
    filters_of,
    list_address,
    query_text,
)
from query_api.console.metric_values import amount_of_alert
from query_api.console.optional import optional
from query_api.console.overview_charts import charts_of
from query_api.console.overview_data import (
    MEASURES,
    TOPS,
    OverviewQuery,
    bounds_us,
    largest,
    read_overview,
    read_tops,
)
from query_api.console.page import Page, View
from query_api.console.responses import see_other
from query_api.console.time_ranges import PRESETS, TimeRange, time_range_of
from query_api.errors import BadRequestError
from query_api.event_stream.events import FIELDS_OF_WINDOWS
from query_api.times import SECOND_US
from query_api.v1.alerts import AlertParameters, read_alert_states
from tracemill.clock import now_us

DEFAULT_RANGE: Final = "24h"
LIVE_S: Final = 900
"""Length of the range of live mode, which has steps of ten seconds."""
LIVE_STEP_US: Final = 10 * SECOND_US
FIRING: Final = 5
"""Firing alerts that are shown."""
_FIRING: Final = AlertParameters(state="firing", limit=FIRING)


async def show(view: View) -> Response:
    """Show totals with those of the period before, charts, and the largest shares.

    Live mode requests the parts again that the stream of events has no values for.
    """
    query = _query_of(view)
    if name := view.parameter("add"):
        value = view.request.query_params.get("value", "")
        filters = query.filters.with_pair(checked_name(name), value)
        return see_other(_url(query, filters=filters))
    zone = view.preferences.zone_name or "UTC"
    found, (firing, _) = await asyncio.gather(
        read_overview(view.context, view.project_id, query, zone),
        read_alert_states(view.context, view.project_id, _FIRING),
    )
    listed = _listed(view, query, (found.from_us, found.to_us))
    return view.render(
        "overview_live.html" if view.is_part and query.is_live else "overview.html",
        query=query,
        presets=tuple(PRESETS),
        found=found,
        charts=charts_of(view, found, listed),
        listed=listed,
        url=lambda **changed: _url(query, **changed),
        names=NAMES,
        firing=[optional(each) for each in firing],
        amount=lambda each, name: amount_of_alert(view.formats, each, name),
        can_be_live=_can_be_live(view, query),
        stream=_stream(view, query),
        at_us=now_us(),
    )


async def show_tops(view: View) -> Response:
    """Show the largest shares, which the overview loads after the page."""
    query = _query_of(view)
    tops = await read_tops(view.context, view.project_id, query)
    return view.render(
        "overview_tops.html" if view.is_part else "overview_tops_page.html",
        query=query,
        tops=tops,
        listed=_listed(view, query, bounds_us(query.range, now_us())),
        url=lambda **changed: _url(query, **changed),
        measures=tuple(MEASURES),
        top_names=TOPS,
        largest=largest,
    )


def _listed(view: View, query: OverviewQuery, range_us: tuple[int, int]) -> Callable[..., str]:
    base = view.path()

    def listed(
        bounds: tuple[int, int] = range_us, order: str = "", more: str = "", **filters: str
    ) -> str:
        """Return the address of the traces or observations of a range."""
        pairs = query.filters
        for dimension, value in filters.items():
            pairs = pairs.with_pair(dimension, value)
        return list_address(base, bounds, pairs, order=order, more=more)

    return listed


def _query_of(view: View) -> OverviewQuery:
    parameters = view.request.query_params
    measure = view.parameter("by") or "cost"
    if measure not in MEASURES:
        allowed = tuple(MEASURES)
        message = f"by: {measure[:20]!r} is not one of {', '.join(allowed)}"
        raise BadRequestError(message, field="by", allowed=allowed)
    is_live = parameters.get("live") == "1"
    if is_live:
        now_step_us = -(-now_us() // LIVE_STEP_US) * LIVE_STEP_US
        time_range = TimeRange("", now_step_us - LIVE_S * SECOND_US, now_step_us)
    else:
        time_range = time_range_of(parameters, now_us(), DEFAULT_RANGE)
    return OverviewQuery(time_range, filters_of(parameters), measure, is_live)


def _url(
    query: OverviewQuery,
    *,
    preset: str = "",
    by: str = "",
    filters: Filters | None = None,
    live: bool | None = None,
) -> str:
    """Return the query string of the page with a part changed."""
    times = {"range": preset} if preset else query.range.parameters
    if not preset and (query.is_live if live is None else live):
        times = {"live": "1"}
    elif query.is_live and not preset:
        times = {}
    measure = by or query.measure
    pairs = [
        *((name, value) for name, value in times.items() if value != DEFAULT_RANGE),
        *(query.filters if filters is None else filters).parameters,
        *([("by", measure)] if measure != "cost" else []),
    ]
    return query_text(pairs)


def _can_be_live(view: View, query: OverviewQuery) -> bool:
    """Return whether events are followed, and have the fields of all filters."""
    is_known = set(query.filters.by_name) <= set(FIELDS_OF_WINDOWS)
    return is_known and view.context.events is not None


def _stream(view: View, query: OverviewQuery) -> str:
    """Return the address of the events of the page."""
    path = f"/console{view.path('stream')}"
    return path + query_text(query.filters.parameters)


REGISTERED = (
    Page("", show, title="Overview", place=10),
    Page("/overview/tops", show_tops),
)
