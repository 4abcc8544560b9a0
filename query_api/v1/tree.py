"""Serve the call tree of a trace at ``/v1/traces/{id}/tree``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from query_api import metrics
from query_api.context import AppContext, ProjectId
from query_api.openapi.v1_examples import TREE_EXAMPLE
from query_api.responses import json_response
from query_api.store.rows import OBSERVATION_IN_TREE, TRACE_TOTALS, StoredTrace
from query_api.store.summaries import mark_summaries_of
from query_api.store.trace_reading import observations_of, read_trace
from query_api.v1.call_tree import CallTree, call_tree
from query_api.v1.parameters import native_router
from query_api.v1.shapes.tree import TreeOut, tree_out


async def read_call_tree(
    context: AppContext, trace: StoredTrace, columns: tuple[str, ...] = OBSERVATION_IN_TREE
) -> tuple[CallTree, bool]:
    """Return the call tree of a trace that was read with its summaries.

    It has the earliest ``trace_observations_max`` observations. The second value is whether there
    are more.
    """
    limit = context.settings.trace_observations_max
    rows = await observations_of(context.reader, trace, columns, limit)
    if len(rows) > limit:
        metrics.LIMITS_REACHED.labels("trace_observations_max").inc()
    mark_summaries_of(trace, rows)
    return call_tree(rows[:limit]), len(rows) > limit


def tree_router(context: AppContext) -> APIRouter:
    router = native_router("traces")
    settings = context.settings

    @router.get(
        "/v1/traces/{trace_id:path}/tree",
        summary="Get the call tree of a trace",
        responses={200: context.documented.response(TreeOut, "The tree.", TREE_EXAMPLE)},
    )
    async def get_tree(
        project_id: ProjectId,
        trace_id: Annotated[str, Path(max_length=800, examples=[TREE_EXAMPLE["trace_id"]])],
    ) -> Response:
        """Return the call tree with the cost and tokens of each node, alone and with descendants.

        `critical_path` lists, in order of time, the observations that the trace waited for. Their
        durations add up to that of the trace. `truncated` is true if the tree omits observations:
        it has the earliest ones, down to a maximum depth.
        """
        trace = await read_trace(context.reader, project_id, trace_id, TRACE_TOTALS)
        tree, truncated = await read_call_tree(context, trace)
        shown = tree_out(trace, tree, truncated=truncated, depth_max=settings.tree_depth_max)
        return json_response(shown)

    return router
