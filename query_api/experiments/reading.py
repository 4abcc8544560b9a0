"""Read the results of runs: their items, and the traces and scores of these."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from producers.documents.kinds.dataset_run import DatasetRun
from producers.token_sides import tokens_of
from query_api.context import AppContext
from query_api.documents.document import Document
from query_api.experiments.comparison import ItemResult, RunResults
from query_api.experiments.runs import items_of_run
from query_api.store.queries.experiments import MeanScores
from query_api.store.rows import TRACE_AMOUNTS, StoredTrace
from query_api.store.trace_reading import read_traces
from query_api.times import MILLISECOND_US

TRACES_AT_ONCE: Final = 100
"""Traces of one query, whose ids are part of a URL."""


class _TraceScore(msgspec.Struct):
    trace_id: str
    score_name: str
    value: float


async def results_of(context: AppContext, run: Document[DatasetRun]) -> RunResults:
    """Return the results of a run; of several traces of an item, the newest counts.

    Raises:
        TooManyError: the run has too many items.
        UnavailableError, TooCostlyError: the store did not answer in time.
    """
    items = await items_of_run(context, run)
    newest = {each.body.dataset_item_id: each.body.trace_id for each in reversed(items)}
    trace_ids = list(dict.fromkeys(newest.values()))
    traces: dict[str, StoredTrace] = {}
    scores: dict[str, dict[str, float]] = {}
    for first in range(0, len(trace_ids), TRACES_AT_ONCE):
        ids = tuple(trace_ids[first : first + TRACES_AT_ONCE])
        found, means = await asyncio.gather(
            read_traces(context.reader, run.project_id, ids, TRACE_AMOUNTS),
            context.reader.rows(MeanScores(run.project_id, ids), _TraceScore),
        )
        traces |= found
        for each in means:
            scores.setdefault(each.trace_id, {})[each.score_name] = each.value
    results = {
        item_id: _result(trace_id, traces.get(trace_id), scores.get(trace_id, {}))
        for item_id, trace_id in newest.items()
    }
    return RunResults(run.id, run.body.name, results)


def _result(trace_id: str, trace: StoredTrace | None, scores: dict[str, float]) -> ItemResult:
    if trace is None:
        return ItemResult(trace_id, has_trace=False, scores=scores)
    return ItemResult(
        trace_id,
        failed=trace.error_count > 0,
        cost_pico=trace.total_cost_pico,
        unpriced=trace.unpriced_count,
        latency_ms=max(0, trace.end_us - trace.start_us) / MILLISECOND_US,
        tokens=tokens_of(trace.usage)[2],
        scores=scores,
    )
