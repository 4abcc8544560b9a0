"""Show the cost, latency and errors of a project, and the models and users that cost most."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from query_api.console.overview_data import read_overview
from query_api.console.page import Page, View
from query_api.console.search import term
from query_api.console.time_ranges import PRESETS, time_range_of
from query_api.times import iso
from tracemill.clock import now_us

DEFAULT_RANGE = "24h"


async def show(view: View) -> Response:
    """Show totals with those of the period before, charts, and the largest shares of the cost."""
    time_range = time_range_of(view.request.query_params, now_us(), DEFAULT_RANGE)
    zone = view.preferences.zone_name or "UTC"
    found = await read_overview(view.context, view.project_id, time_range, zone)

    def traces(from_us: int = found.from_us, to_us: int = found.to_us, **search: str) -> str:
        """Return the query string of the page with the traces of a range."""
        q = " ".join(term(field, value) for field, value in search.items())
        return "?" + urlencode({"from": iso(from_us), "to": iso(to_us)} | ({"q": q} if q else {}))

    return view.render(
        "overview.html",
        range=time_range,
        presets=tuple(PRESETS),
        found=found,
        traces=traces,
        at_us=now_us(),
    )


REGISTERED = (Page("", show, title="Overview", place=10),)
