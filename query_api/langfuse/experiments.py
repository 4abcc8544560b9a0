"""Serve ``/api/public/experiments`` and ``/api/public/experiment-items``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from query_api import cursors
from query_api.context import AppContext, ProjectId
from query_api.experiments.listed import page_of_experiments
from query_api.experiments.listed_items import page_of_items
from query_api.langfuse.parameters import (
    CommaSeparated,
    ConditionList,
    FilterText,
    LangfuseParameters,
    Text,
    chosen_groups,
    parts_of,
)
from query_api.langfuse.shapes.experiment import (
    EXPERIMENT_GROUPS,
    ITEM_GROUPS,
    ExperimentItemOut,
    ExperimentOut,
    experiment_item_out,
    experiment_out,
)
from query_api.langfuse.shapes.score_v3 import GROUPS, ScoreV3, score_v3
from query_api.numbers import Whole
from query_api.openapi.recorded_experiment_examples import (
    EXPERIMENT_LIST_EXAMPLE,
    ITEM_LIST_EXAMPLE,
)
from query_api.pages import CursorMeta
from query_api.responses import json_response
from query_api.store.columns import SCORE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.recorded_experiments import EXPERIMENT_COLUMNS, ExperimentConditions
from query_api.store.queries.scores import FindScores
from query_api.store.rows import StoredScore
from query_api.times import Instant, InstantUs

SCORES_OF_ONE_MAX: Final = 50
_SCORE_GROUPS: Final = frozenset(GROUPS)
_RUN_OF: Final = attrgetter("dataset_run_id")
_TRACE_OF: Final = attrgetter("trace_id")
_COLUMNS: Final = {
    "id": EXPERIMENT_COLUMNS["experimentId"],
    "name": EXPERIMENT_COLUMNS["experimentName"],
    "datasetId": EXPERIMENT_COLUMNS["datasetId"],
}
"""Columns of experiments that clients can filter by."""


_FILTER: Final = '[{"type":"string","column":"name","operator":"=","value":"gpt-4o-mini"}]'


class ExperimentList(msgspec.Struct):
    data: list[ExperimentOut]
    meta: CursorMeta


class ExperimentItemList(msgspec.Struct):
    data: list[ExperimentItemOut]
    meta: CursorMeta


class _ExperimentCursor(msgspec.Struct, rename="camel"):
    last_end_us: InstantUs
    last_id: str


class _ItemCursor(msgspec.Struct, rename="camel"):
    last_start_us: InstantUs
    last_trace_id: str
    last_id: str


class _ListParameters(LangfuseParameters):
    from_start_time: Instant | None = None
    limit: Whole = Field(50, ge=1, le=100)
    score_limit: Whole = Field(SCORES_OF_ONE_MAX, ge=1, le=SCORES_OF_ONE_MAX)
    cursor: cursors.CursorText | None = Field(
        None, description="`meta.cursor` of the previous page."
    )
    to_start_time: Instant | None = None
    dataset_id: CommaSeparated | None = None


class ExperimentParameters(_ListParameters):
    fields: Text | None = Field(
        None, description="Groups of fields: core, metadata, scores.", examples=["core,scores"]
    )
    id: CommaSeparated | None = None
    name: CommaSeparated | None = None
    filter: FilterText | None = Field(None, examples=[_FILTER])


class ExperimentItemParameters(_ListParameters):
    fields: Text | None = Field(
        None,
        description="Groups of fields: core, dataset, io, metadata, itemMetadata,"
        " experimentMetadata, scores.",
        examples=["core,dataset,io"],
    )
    experiment_id: CommaSeparated | None = None
    experiment_name: CommaSeparated | None = None
    experiment_item_id: CommaSeparated | None = None
    filter: FilterText | None = Field(None, examples=[_FILTER.replace("name", "experimentName")])


def langfuse_experiments_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["experiments"])
    documented = context.documented

    @router.get(
        "/api/public/experiments",
        summary="List experiments",
        responses={
            200: documented.response(
                ExperimentList, "Experiments below the cursor.", EXPERIMENT_LIST_EXAMPLE
            )
        },
    )
    async def list_experiments(
        project_id: ProjectId, parameters: Annotated[ExperimentParameters, Query()]
    ) -> Response:
        """Experiments that spans record, and runs of dataset run items, the latest first.

        Those that spans record are sorted by their last activity; times and counts are those of
        items that started in the requested range. Others are sorted by their creation.
        """
        groups = chosen_groups(parameters.fields, EXPERIMENT_GROUPS, frozenset())
        conditions = ConditionList(_COLUMNS, parameters.filter)
        conditions.add("id", "in", parts_of(parameters.id))
        conditions.add("name", "in", parts_of(parameters.name))
        where = _where(parameters, conditions)
        below = None
        if parameters.cursor is not None:
            cursor = cursors.decode(parameters.cursor, _ExperimentCursor)
            below = (cursor.last_end_us, cursor.last_id)
        found, last = await page_of_experiments(context, project_id, where, parameters.limit, below)
        scores: dict[str, list[ScoreV3]] = {}
        if "scores" in groups:
            ids = [each.id for each in found]
            scores = await _scores(context, project_id, "datasetRunId", ids, _RUN_OF)
        limit = parameters.score_limit
        data = [experiment_out(each, groups, scores.get(each.id, [])[:limit]) for each in found]
        meta = CursorMeta(None if last is None else cursors.encode(_ExperimentCursor(*last)))
        return json_response(ExperimentList(data, meta))

    @router.get(
        "/api/public/experiment-items",
        summary="List items of experiments",
        responses={
            200: documented.response(
                ExperimentItemList, "Items below the cursor.", ITEM_LIST_EXAMPLE
            )
        },
    )
    async def list_experiment_items(
        project_id: ProjectId, parameters: Annotated[ExperimentItemParameters, Query()]
    ) -> Response:
        """Items of experiments, the latest first; scores are those of the trace.

        Items that spans record are sorted by their start, those of dataset run items by their
        creation.
        """
        groups = chosen_groups(parameters.fields, ITEM_GROUPS, frozenset({"core", "dataset"}))
        conditions = ConditionList(EXPERIMENT_COLUMNS, parameters.filter)
        conditions.add("experimentId", "in", parts_of(parameters.experiment_id))
        conditions.add("experimentName", "in", parts_of(parameters.experiment_name))
        conditions.add("experimentItemId", "in", parts_of(parameters.experiment_item_id))
        where = _where(parameters, conditions)
        below = None
        if parameters.cursor is not None:
            cursor = cursors.decode(parameters.cursor, _ItemCursor)
            below = (cursor.last_start_us, cursor.last_trace_id, cursor.last_id)
        found, last = await page_of_items(
            context, project_id, where, parameters.limit, below, io="io" in groups
        )
        scores: dict[str, list[ScoreV3]] = {}
        if "scores" in groups:
            traces = dict.fromkeys(each.trace_id for each in found)
            scores = await _scores(context, project_id, "traceId", traces, _TRACE_OF)
        data = [
            experiment_item_out(
                each, groups, scores.get(each.trace_id, [])[: parameters.score_limit]
            )
            for each in found
        ]
        meta = CursorMeta(None if last is None else cursors.encode(_ItemCursor(*last)))
        return json_response(ExperimentItemList(data, meta))

    return router


def _where(parameters: _ListParameters, conditions: ConditionList) -> ExperimentConditions:
    conditions.add("datasetId", "in", parts_of(parameters.dataset_id))
    return ExperimentConditions(
        conditions=conditions.done(),
        since_us=parameters.from_start_time,
        until_us=parameters.to_start_time,
    )


async def _scores(
    context: AppContext,
    project_id: str,
    column: str,
    ids: Iterable[str],
    id_of: Callable[[StoredScore], str],
) -> dict[str, list[ScoreV3]]:
    """Return the scores of runs or traces by their id."""
    wanted = tuple(ids)
    if not wanted:
        return {}
    conditions = (Condition(SCORE_COLUMNS[column], "in", wanted),)
    query = FindScores(project_id, conditions, len(wanted) * SCORES_OF_ONE_MAX)
    found: dict[str, list[ScoreV3]] = {}
    for row in await context.reader.rows(query, StoredScore):
        found.setdefault(id_of(row), []).append(score_v3(row, _SCORE_GROUPS))
    return found
