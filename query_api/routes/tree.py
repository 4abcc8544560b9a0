"""``/v1/traces/{id}/tree``: who called whom, what it cost, and what everything waited for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from query_api import metrics
from query_api.answers import answer
from query_api.native_examples import TREE_EXAMPLE
from query_api.native_parameters import native_router
from query_api.room import ProjectId, Room
from query_api.shapes.tree import TreeOut, tree_out
from query_api.stored import OBSERVATION_IN_TREE, TRACE_TOTALS
from query_api.trace_reading import observations_of, read_trace
from query_api.tree import call_tree


def tree_router(room: Room) -> APIRouter:
    router = native_router("traces")
    settings = room.settings

    @router.get(
        "/v1/traces/{trace_id:path}/tree",
        summary="The call tree of a trace",
        responses={200: room.documented.as_answer(TreeOut, "The tree.", TREE_EXAMPLE)},
    )
    async def get_tree(
        project_id: ProjectId,
        trace_id: Annotated[str, Path(max_length=800, examples=[TREE_EXAMPLE["trace_id"]])],
    ) -> Response:
        """Costs and tokens of each node alone and with all below it. `critical_path` tells, in order of time, what the trace waited for; its durations add up to the trace's. `truncated`: the trace has more observations than are shown, the earliest ones, or is deeper."""
        trace = await read_trace(room.reader, project_id, trace_id, TRACE_TOTALS)
        limit = settings.trace_observations_max
        rows = await observations_of(room.reader, trace, OBSERVATION_IN_TREE, limit)
        if len(rows) > limit:
            metrics.LIMITS_REACHED.labels("trace_observations_max").inc()
        shown = tree_out(
            trace,
            call_tree(rows[:limit]),
            truncated=len(rows) > limit,
            depth_max=settings.tree_depth_max,
        )
        return answer(shown)

    return router
