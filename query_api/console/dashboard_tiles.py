"""Make the query of a tile, filtered by what the page of its dashboard has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from producers.documents.kinds.dashboard import Tile
from query_api.console.explore_filters import search_text, terms_of_body
from query_api.console.explore_query import (
    DEFAULT_TOP,
    DIMENSIONS_MAX,
    LINES_MAX,
    Asked,
    ExploreQuery,
)
from query_api.console.time_ranges import TimeRange
from query_api.dashboards.variables import field_of, filtered
from query_api.query.chart_kinds import HISTOGRAM, MEASURES_MAX, OF_VALUES, OVER_TIME, ChartKind
from query_api.query.dimension import View
from query_api.query.periods import STEP_S
from query_api.times import SECOND_US

STEPS_MAX: Final = 750
"""Maximum number of steps of a tile; a shorter step than its own range needs is not used."""
Values = Mapping[str, tuple[str, ...]]
"""Chosen values by dimension."""


def asked_of_tile(tile: Tile, values: Values, bounds_us: tuple[int, int], zone: str) -> Asked:
    """Return the query of a tile in a range.

    Without a time zone of its own, days are those of ``zone``.
    """
    view = view_of(tile)
    kind = cast("ChartKind", tile.chart)
    body = filtered(tile.query, view, values)
    if kind in OVER_TIME:
        body.setdefault("time_zone", zone)
        length_s = (bounds_us[1] - bounds_us[0]) // SECOND_US
        if body.get("step") and length_s // STEP_S[body["step"]] > STEPS_MAX:
            del body["step"]
    elif body.get("compare_with"):
        body.setdefault("time_zone", zone)
    if body.get("group_by"):
        top = body.get("top") or DEFAULT_TOP
        body["top"] = min(top, LINES_MAX) if kind in OVER_TIME else top
    terms, unlisted = terms_of_body(body)
    return Asked(kind, view, body, bounds_us, terms, unlisted)


def view_of(tile: Tile) -> View:
    """Return what the query of a tile counts."""
    view = tile.query.get("view", "observations")
    assert view in get_args(View), "queries are checked before they are stored"
    return cast("View", view)


def not_filtering(tile: Tile, values: Values) -> list[str]:
    """Return the dimensions that have chosen values, but which the view of a tile does not have."""
    view = view_of(tile)
    return [name for name, chosen in values.items() if chosen and field_of(view, name) is None]


def explore_of(asked: Asked, time_range: TimeRange) -> ExploreQuery | None:
    """Return the view of Explore that shows a tile; None if its form cannot."""
    body = asked.body
    measures = [each.removesuffix(HISTOGRAM) for each in body.get("measures", [])]
    formulas: Mapping[str, Any] = body.get("formulas", {})
    by = body.get("group_by", [])
    search = None if asked.unlisted else search_text(asked.view, asked.terms)
    is_shown = (
        search is not None
        and len(measures) <= MEASURES_MAX
        and len(by) <= DIMENSIONS_MAX
        and len(formulas) <= 1
        and body.get("compare_with") in {None, "previous"}
    )
    if not is_shown:
        return None
    if asked.kind in OF_VALUES and measures[0] in {"latency_ms", "ttft_ms"}:
        measures = [f"{measures[0]}.p95"]  # these have no value without an aggregation
    return ExploreQuery(
        kind=asked.kind,
        view=asked.view,
        measures=tuple(measures),
        formula=next(iter(formulas.values()), ""),
        by=tuple(by),
        search=search or "",
        range=time_range,
        step=body.get("step", ""),
        top=str(body.get("top", DEFAULT_TOP)),
        is_compared=body.get("compare_with") is not None,
    )


def tile_of_explore(asked: Asked, title: str) -> dict[str, Any]:
    """Return the tile that shows a view of Explore, as in the body of a dashboard."""
    query = {name: value for name, value in asked.body.items() if name != "time_zone"}
    is_wide = asked.kind in {"table", "number"}
    return {
        "title": title,
        "chart": asked.kind,
        "query": query,
        "width": 4 if is_wide else 2,
        "height": 1 if asked.kind == "number" else 2,
    }
