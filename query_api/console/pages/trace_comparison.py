"""Compare two traces: their totals, their observations, and their texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal
from urllib.parse import urlencode

from starlette.responses import Response

from producers.token_sides import tokens_of
from query_api.console.aligned_trees import AlignedRow, aligned_rows
from query_api.console.page import Action, Page, View
from query_api.console.pages.trace import SHOWN_IN_TREE, observation_of
from query_api.console.pages.trace_items import chosen_ids
from query_api.console.responses import see_other
from query_api.console.shown_values import readable_text
from query_api.console.text_diff import Diff, side_by_side
from query_api.console.tree_rows import TreeRow, tree_rows
from query_api.errors import BadRequestError, NotFoundError
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import TRACE_CORE, TRACE_DETAIL, StoredObservation, StoredTrace
from query_api.store.trace_reading import (
    fill_io_from_root_observation,
    find_traces,
    read_trace,
)
from query_api.v1.tree import read_call_tree

PATH: Final = "trace-comparison"
ROWS_MAX: Final = 500
"""Maximum number of rows with observations; later ones are not shown."""
OTHERS: Final = 10
"""Traces that are offered for a comparison."""
ID_CHARS_MAX: Final = 1_000
Unit = Literal["usd", "duration", "number"]


@dataclass(frozen=True, slots=True)
class Side:
    """A trace of a comparison."""

    trace: StoredTrace
    path: str
    rows: Sequence[TreeRow]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Total:
    """A number of both traces; None if a trace has none. Amounts and times as in ``Formats``."""

    name: str
    unit: Unit
    left: int | None
    right: int | None
    is_worse_if_more: bool = True


async def show(view: View) -> Response:
    """Compare the traces `a` and `b`, and the texts of the observations `oa` and `ob`."""
    first, second = view.parameter("a"), view.parameter("b")
    if not (first and second):
        return await _ask(view, first or second)
    left, right = await asyncio.gather(_side(view, first), _side(view, second))
    found = list(islice(aligned_rows(left.rows, right.rows), ROWS_MAX + 1))
    chosen = view.parameter("oa"), view.parameter("ob")
    texts = await _texts(view, left.trace, right.trace, *chosen)

    def url(row: AlignedRow | None = None) -> str:
        """Return the query string that shows the texts of a row, or those of the traces."""
        given = {"a": first, "b": second}
        if row is not None:
            given |= {"oa": row.left.id} if row.left else {}
            given |= {"ob": row.right.id} if row.right else {}
        return f"?{urlencode(given)}"

    return view.render(
        "trace_comparison.html",
        left=left,
        right=right,
        totals=_totals(left, right),
        rows=found[:ROWS_MAX],
        is_cut=len(found) > ROWS_MAX or left.truncated or right.truncated,
        rows_max=ROWS_MAX,
        chosen=chosen,
        texts=texts,
        url=url,
        swapped=f"?{urlencode({'a': second, 'b': first})}",
    )


async def choose(view: View) -> Response:
    """Lead to the comparison of the two chosen traces of a list."""
    ids = chosen_ids(view.form)
    if len(ids) != 2:
        raise BadRequestError("choose exactly two traces to compare", field="trace")
    return see_other(f"{view.path(PATH)}?{urlencode({'a': ids[0], 'b': ids[1]})}")


async def _ask(view: View, trace_id: str) -> Response:
    """Show a form for the ids, with traces of the same name as a given one."""
    reader, trace = view.context.reader, None
    others: list[StoredTrace] = []
    if trace_id:
        trace = await read_trace(reader, view.project_id, trace_id, TRACE_DETAIL)
        of_name = (Condition(TRACE_COLUMNS["name"], "eq", trace.name),)
        query = FindTraces(view.project_id, of_name, limit=OTHERS + 1)
        found = await find_traces(reader, query, TRACE_CORE)
        others = [each for each in found if each.id != trace_id][:OTHERS]
    return view.render("trace_comparison_form.html", trace=trace, trace_id=trace_id, others=others)


async def _side(view: View, trace_id: str) -> Side:
    if len(trace_id) > ID_CHARS_MAX:
        raise NotFoundError("no such trace")
    trace = await read_trace(view.context.reader, view.project_id, trace_id, TRACE_DETAIL)
    (tree, truncated), _ = await asyncio.gather(
        read_call_tree(view.context, trace, SHOWN_IN_TREE),
        fill_io_from_root_observation(view.context.reader, [trace]),
    )
    rows = tree_rows(tree, truncated=truncated).rows
    return Side(trace, view.path("traces", trace.id), rows, truncated)


def _totals(left: Side, right: Side) -> list[Total]:
    first, second = left.trace, right.trace
    tokens = tokens_of(first.usage), tokens_of(second.usage)
    return [
        Total("cost", "usd", first.total_cost_pico, second.total_cost_pico),
        Total("latency", "duration", _duration_us(first), _duration_us(second)),
        Total("first_token", "duration", _first_token_us(left.rows), _first_token_us(right.rows)),
        Total("input", "number", tokens[0][0], tokens[1][0], is_worse_if_more=False),
        Total("output", "number", tokens[0][1], tokens[1][1], is_worse_if_more=False),
        Total(
            "observations",
            "number",
            first.observation_count,
            second.observation_count,
            is_worse_if_more=False,
        ),
        Total("errors", "number", first.error_count, second.error_count),
    ]


def _duration_us(trace: StoredTrace) -> int | None:
    return trace.end_us - trace.start_us if trace.end_us >= trace.start_us else None


def _first_token_us(rows: Sequence[TreeRow]) -> int | None:
    """Return the time from the start of the trace to its first token."""
    return min(
        (row.start_us + row.ttft_us for row in rows if row.ttft_us is not None), default=None
    )


async def _texts(
    view: View, left: StoredTrace, right: StoredTrace, left_id: str, right_id: str
) -> Mapping[str, Diff]:
    """Return the differences of inputs and outputs that any of both have.

    If an observation is chosen, they are those of observations, of which one may be missing.
    """
    sources: tuple[StoredTrace | StoredObservation | None, ...] = (left, right)
    if left_id or right_id:
        sources = await asyncio.gather(
            _observation(view, left, left_id), _observation(view, right, right_id)
        )
    chars_max = view.settings.text_chars_max
    found: dict[str, Diff] = {}
    for field in ("input", "output"):
        texts = [
            readable_text(getattr(each, field), chars_max=chars_max) if each else ""
            for each in sources
        ]
        if any(texts):
            found[field] = await asyncio.to_thread(side_by_side, *texts)
    return found


async def _observation(view: View, trace: StoredTrace, id_: str) -> StoredObservation | None:
    return await observation_of(view, trace, id_) if id_ else None


REGISTERED = (
    Page(f"/{PATH}", show),
    Action(f"/{PATH}", choose, scope="read"),
)
