"""Serve the totals of a trace at ``/v1/traces/{id}/totals``, also while it is running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path
from starlette.responses import Response

from producers.token_sides import tokens_of
from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.money import usd_text
from query_api.openapi.totals_examples import TRACE_TOTALS_EXAMPLE
from query_api.responses import json_response
from query_api.store.rows import (
    OBSERVATION_IN_TREE,
    OBSERVATION_TIMES,
    TRACE_AMOUNTS,
    StoredObservation,
    StoredTrace,
)
from query_api.store.summaries import mark_summaries_of
from query_api.store.trace_reading import observations_of, read_trace
from query_api.times import MILLISECOND_US, iso, iso_or_none
from query_api.v1.call_tree import CallTree, Node, call_tree, is_unpriced
from query_api.v1.parameters import native_router
from query_api.v1.spend_amounts import ModelSpend, Tokens


class TraceTotals(msgspec.Struct, kw_only=True):
    trace_id: str
    is_open: bool
    """Whether its root observation is missing, or an observation has not ended."""
    start_time: str
    end_time: str | None
    latency_ms: float
    time_to_first_token_ms: float | None
    """Time from the start of the trace to the first token of any call; null if none is known."""
    cost_usd: str
    tokens: Tokens
    tokens_by_type: dict[str, int]
    observations: int
    errors: int
    unpriced: int
    """Number of observations without a known price; the cost does not include them."""
    depth: int
    """Levels of the call tree: 1 if no observation has a parent."""
    by_model: list[ModelSpend]
    """Cost and tokens by model, the most expensive first."""
    truncated: bool
    """Whether depth and models omit observations, because there are too many."""


def trace_totals_router(context: AppContext) -> APIRouter:
    """Return the route."""
    router = native_router("traces")
    settings = context.settings

    @router.get(
        "/v1/traces/{trace_id:path}/totals",
        summary="Get the totals of a trace",
        responses={200: context.documented.response(TraceTotals, "Totals.", TRACE_TOTALS_EXAMPLE)},
    )
    async def trace_totals(
        project_id: ProjectId,
        trace_id: Annotated[str, Path(max_length=800, examples=[TRACE_TOTALS_EXAMPLE["trace_id"]])],
    ) -> Response:
        """Return cost, tokens, times and errors of a trace, including what has arrived so far.

        Usage that an observation and its descendants both report is counted once.
        """
        trace = await read_trace(context.reader, project_id, trace_id, TRACE_AMOUNTS)
        limit = settings.trace_observations_max
        columns = (*OBSERVATION_IN_TREE, *OBSERVATION_TIMES)
        rows = await observations_of(context.reader, trace, columns, limit)
        if len(rows) > limit:
            metrics.LIMITS_REACHED.labels("trace_observations_max").inc()
        mark_summaries_of(trace, rows)
        return json_response(_shown(trace, rows[:limit], truncated=len(rows) > limit))

    return router


def _shown(trace: StoredTrace, rows: list[StoredObservation], *, truncated: bool) -> TraceTotals:
    tree = call_tree(rows)
    first_tokens = [row.completion_start_us for row in rows if row.completion_start_us]
    return TraceTotals(
        trace_id=trace.id,
        is_open=_is_open(tree, rows),
        start_time=iso(trace.start_us),
        end_time=iso_or_none(trace.end_us),
        latency_ms=max(0, trace.end_us - trace.start_us) / MILLISECOND_US,
        time_to_first_token_ms=max(0, min(first_tokens) - trace.start_us) / MILLISECOND_US
        if first_tokens
        else None,
        cost_usd=usd_text(trace.total_cost_pico),
        tokens=Tokens(*tokens_of(trace.usage)),
        tokens_by_type=trace.usage,
        observations=trace.observation_count,
        errors=trace.error_count,
        unpriced=trace.unpriced_count,
        depth=max((node.depth for node in _nodes(tree)), default=0),
        by_model=_by_model(tree),
        truncated=truncated,
    )


def _is_open(tree: CallTree, rows: list[StoredObservation]) -> bool:
    has_root = any(not child.orphan for child in tree.root.children)
    return not has_root or any(not row.end_us and row.type != "EVENT" for row in rows)


def _nodes(tree: CallTree) -> Iterator[Node]:
    waiting = [*tree.root.children]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


def _by_model(tree: CallTree) -> list[ModelSpend]:
    pico_of: dict[str, int] = {}
    unpriced_of: Counter[str] = Counter()
    tokens_by_model: dict[str, Tokens] = {}
    for node in _nodes(tree):
        row = node.row
        assert row is not None
        usage, pico = row.usage, row.total_cost_pico
        if row.counted is not None:
            usage, pico = row.counted, row.counted.get("cost_pico", 0)
            usage = {name: units for name, units in usage.items() if name != "cost_pico"}
        if not usage and not pico:
            continue
        pico_of[row.model] = pico_of.get(row.model, 0) + pico
        unpriced_of[row.model] += is_unpriced(row)
        tokens = tokens_by_model.setdefault(row.model, Tokens())
        inputs, outputs, total = tokens_of(usage)
        tokens.input += inputs
        tokens.output += outputs
        tokens.total += total
    models = sorted(pico_of, key=lambda model: (-pico_of[model], model))
    return [
        ModelSpend(each, usd_text(pico_of[each]), tokens_by_model[each], unpriced_of[each])
        for each in models
    ]
