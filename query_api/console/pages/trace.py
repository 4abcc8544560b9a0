"""Show a trace: its observations as a tree and a waterfall, and the details of one of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from producers.token_sides import tokens_of
from query_api import metrics
from query_api.console.observation_prices import priced_usage
from query_api.console.page import Data, Page, View
from query_api.console.shown_values import ShownValue, shown_value
from query_api.console.text_formats import TextFormat
from query_api.console.tree_rows import tree_rows
from query_api.errors import NotFoundError
from query_api.responses import json_response
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.observations import ReadObservations
from query_api.store.queries.scores import NOT_CORRECTIONS, FindScores
from query_api.store.rows import (
    OBSERVATION_IN_TREE,
    OBSERVATION_TIMES,
    OBSERVATION_WHOLE,
    TRACE_DETAIL,
    TRACE_TOTALS,
    StoredObservation,
    StoredScore,
    StoredTrace,
)
from query_api.store.trace_reading import (
    fill_io_from_root_observation,
    read_observations,
    read_trace,
)
from query_api.times import SECOND_US
from query_api.v1.tree import read_call_tree
from tracemill.clock import now_us

FRAGMENT: Final = "x-fragment"
"""Header of requests for the details only."""
PEEK: Final = "peek"
"""Value of this header for what a list shows beside it."""
TEXTS: Final = ("input", "output", "metadata")
SCORES_SHOWN: Final = 50
RUNNING_US: Final = 600 * SECOND_US
"""A trace is assumed to run until so long after its latest start or end."""
UPDATE_S: Final = 3
"""Seconds after which a browser asks for the totals of a running trace again."""
SHOWN_IN_TREE: Final = (*OBSERVATION_IN_TREE, *OBSERVATION_TIMES)


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts of a trace or an observation."""

    field: str
    value: ShownValue
    path: str
    """Where the whole text is."""


async def show(view: View) -> Response:
    """Show the trace; with the parameter `observation`, the details of this observation."""
    trace_id = view.request.path_params["trace_id"]
    observation_id = view.parameter("observation")
    trace = await read_trace(view.context.reader, view.project_id, trace_id, TRACE_DETAIL)
    if view.is_part:
        totals = _totals(trace)
        return view.render("trace_totals.html", trace=trace, first_error="", **totals)
    details = await _details(view, trace, observation_id)
    if view.request.headers.get(FRAGMENT) == PEEK:
        usage = (details["observation"] or trace).usage
        path = view.path("traces", trace_id)
        if observation_id:
            path += f"?observation={quote(observation_id, safe='')}"
        return view.render("peek.html", trace=trace, path=path, tokens=tokens_of(usage), **details)
    if view.request.headers.get(FRAGMENT):
        return view.render("trace_details.html", trace=trace, **details)
    (tree, truncated), scores = await asyncio.gather(
        read_call_tree(view.context, trace, SHOWN_IN_TREE), _scores(view, trace)
    )
    rows = tree_rows(tree, truncated=truncated)
    return view.render(
        "trace.html",
        trace=trace,
        tree=rows,
        first_rows=rows.rows[: view.settings.tree_rows_max],
        rows_max=view.context.settings.trace_observations_max,
        scores=scores,
        selected=observation_id,
        first_error=next((row.id for row in rows.rows if row.level == "ERROR"), ""),
        data_path=_data_path(view, "tree", trace_id),
        **details,
        **_totals(trace),
    )


def _totals(trace: StoredTrace) -> dict[str, Any]:
    return {
        "tokens": tokens_of(trace.usage),
        "duration_us": trace.end_us - trace.start_us if trace.end_us >= trace.start_us else None,
        "is_running": now_us() - max(trace.start_us, trace.end_us) < RUNNING_US,
        "update_s": UPDATE_S,
    }


async def read_tree(view: View) -> Response:
    """Return all rows of the tree."""
    trace_id = view.parameter("trace")
    trace = await read_trace(view.context.reader, view.project_id, trace_id, TRACE_TOTALS)
    tree, truncated = await read_call_tree(view.context, trace, SHOWN_IN_TREE)
    return json_response(tree_rows(tree, truncated=truncated))


async def read_text(view: View) -> Response:
    """Return a whole text of a trace, or of one of its observations."""
    field, observation_id = view.parameter("field"), view.parameter("observation")
    if field not in TEXTS:
        raise NotFoundError(f"field: must be one of {', '.join(TEXTS)}")
    trace = await read_trace(
        view.context.reader, view.project_id, view.parameter("trace"), TRACE_DETAIL
    )
    if observation_id:
        source: StoredObservation | StoredTrace = await observation_of(view, trace, observation_id)
    else:
        source = trace
        await fill_io_from_root_observation(view.context.reader, [trace])
    return PlainTextResponse(getattr(source, field))


async def _details(view: View, trace: StoredTrace, observation_id: str) -> dict[str, Any]:
    observation = None
    if observation_id:
        observation = await observation_of(view, trace, observation_id)
        view.context.prompts.mark(view.project_id, [observation])
    else:
        await fill_io_from_root_observation(view.context.reader, [trace])
    source = observation or trace
    settings, text_format = view.settings, TextFormat(view)
    texts = []
    for field in TEXTS:
        value = shown_value(
            getattr(source, field),
            chars_max=settings.text_chars_max,
            nodes_max=settings.json_nodes_max,
            formatting=text_format.formatting,
        )
        if value.is_cut:
            metrics.LIMITS_REACHED.labels("text_chars_max").inc()
        path = _data_path(view, "text", trace.id)
        path += f"&observation={quote(observation_id, safe='')}&field={field}"
        texts.append(Shown(field, value, path))
    return {
        "observation": observation,
        "usage": None if observation is None else priced_usage(view, observation),
        "texts": texts,
        "text_format": text_format,
    }


async def observation_of(view: View, trace: StoredTrace, observation_id: str) -> StoredObservation:
    """Return an observation of a trace.

    Raises:
        NotFoundError: the trace has no such observation.
    """
    query = ReadObservations(
        view.project_id,
        trace_ids=(trace.id,),
        ids=(observation_id,),
        columns=OBSERVATION_WHOLE,
    )
    rows = await read_observations(view.context.reader, query)
    if not rows:
        raise NotFoundError(f"the trace has no observation {observation_id[:128]!r}")
    return rows[0]


async def _scores(view: View, trace: StoredTrace) -> list[StoredScore]:
    of_trace = Condition(SCORE_COLUMNS["traceId"], "eq", trace.id)
    query = FindScores(view.project_id, (of_trace, NOT_CORRECTIONS), SCORES_SHOWN)
    return await view.context.reader.rows(query, StoredScore)


def _data_path(view: View, name: str, trace_id: str) -> str:
    return f"/console{view.path(name)}?trace={quote(trace_id, safe='')}"


def _to_api(request: Request) -> Response:
    """Redirect programs from the address that SDKs print to the API."""
    trace_id = request.path_params["trace_id"]
    return RedirectResponse(f"/api/public/traces/{quote(trace_id, safe='')}")


REGISTERED = (
    Page("/traces/{trace_id:path}", show, for_programs=_to_api),
    Data("/tree", read_tree),
    Data("/text", read_text),
)
