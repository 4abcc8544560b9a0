"""Serve ``/api/public/dataset-run-items``: which trace belongs to an item of a dataset in a run."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.kinds.dataset_run import DatasetRun, DatasetRunItem, run_id
from query_api.context import AppContext, ProjectId
from query_api.documents.document import Document
from query_api.errors import BadRequestError, NotFoundError
from query_api.experiments.runs import item_link_id, items_of_run, run_named
from query_api.langfuse.dataset_bodies import NAME_CHARS_MAX, RunItemBody
from query_api.langfuse.parameters import PageParameters
from query_api.langfuse.shapes.dataset import DatasetRunItemOut, dataset_run_item_out
from query_api.openapi.dataset_examples import ONE_PAGE, RUN_EXAMPLE, RUN_ITEM_EXAMPLE
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response
from query_api.store.columns import OBSERVATION_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.queries.observations import FindObservations
from query_api.times import end_of_millisecond, iso


class DatasetRunItemList(msgspec.Struct):
    data: list[DatasetRunItemOut]
    meta: PageMeta


class _Found(msgspec.Struct):
    trace_id: str


class RunItemParameters(PageParameters):
    dataset_id: str = Field(min_length=1, max_length=1_000, examples=[RUN_EXAMPLE["datasetId"]])
    run_name: str = Field(min_length=1, max_length=NAME_CHARS_MAX, examples=[RUN_EXAMPLE["name"]])


def dataset_run_items_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["datasets"])
    documents, documented = context.documents, context.documented
    linked: Responses = {
        200: documented.response(DatasetRunItemOut, "The run item.", RUN_ITEM_EXAMPLE)
    }
    items_listed: Responses = {
        200: documented.response(
            DatasetRunItemList,
            "A page of run items.",
            {"data": [RUN_ITEM_EXAMPLE], "meta": ONE_PAGE},
        )
    }

    @router.post("/api/public/dataset-run-items", summary="Add an item to a run", responses=linked)
    async def create_run_item(project_id: ProjectId, body: RunItemBody) -> Response:
        """The same trace is added once. Its run is created with the first item."""
        item = await _found_item(context, project_id, body)
        trace_id = await _trace_of(context, project_id, body)
        run = await documents.get_or_create(
            project_id,
            run_id(project_id, item.body.dataset_id, body.run_name),
            _new_run(item.body, body),
            created_us=body.created_at,
        )
        link = DatasetRunItem(
            run_id=run.id,
            run_name=body.run_name,
            dataset_item_id=item.id,
            trace_id=trace_id,
            observation_id=body.observation_id,
            item_version_us=item.updated_us,
        )
        added = await documents.get_or_create(
            project_id, item_link_id(link), link, created_us=body.created_at
        )
        return json_response(dataset_run_item_out(added))

    @router.get(
        "/api/public/dataset-run-items", summary="List the items of a run", responses=items_listed
    )
    async def list_run_items(
        project_id: ProjectId, parameters: Annotated[RunItemParameters, Query()]
    ) -> Response:
        dataset = await documents.get(Dataset, project_id, parameters.dataset_id)
        run = await run_named(context, dataset, parameters.run_name) if dataset else None
        if run is None:
            raise NotFoundError("Dataset run not found for the given project and dataset id")
        items = await items_of_run(context, run)
        page = items[parameters.offset : parameters.offset + parameters.limit]
        meta = page_meta(parameters.page, parameters.limit, len(items))
        data = [dataset_run_item_out(each) for each in page]
        return json_response(DatasetRunItemList(data, meta))

    return router


async def _found_item(
    context: AppContext, project_id: str, body: RunItemBody
) -> Document[DatasetItem]:
    if body.dataset_version is None:
        item = await context.documents.get(DatasetItem, project_id, body.dataset_item_id)
    else:
        found, _ = await context.documents.page(
            DatasetItem,
            project_id,
            offset=0,
            limit=1,
            id_=body.dataset_item_id,
            as_of_us=end_of_millisecond(body.dataset_version),
        )
        item = found[0] if found else None
    if item is None or item.body.status != "ACTIVE":
        raise NotFoundError("Dataset item not found")
    return item


async def _trace_of(context: AppContext, project_id: str, body: RunItemBody) -> str:
    if body.trace_id is not None:
        return body.trace_id
    if body.observation_id is None:
        message = "observationId or traceId must be provided"
        raise BadRequestError(message, field="traceId")
    conditions = (Condition(OBSERVATION_COLUMNS["id"], "eq", body.observation_id),)
    query = FindObservations(project_id, conditions, 1)
    row = await context.reader.row(query, _Found)
    if row is None:
        raise NotFoundError("Observation not found")
    return row.trace_id


def _new_run(item: DatasetItem, body: RunItemBody) -> DatasetRun:
    metadata: Any = body.metadata
    if metadata is not None and not isinstance(metadata, dict):
        metadata = {"metadata": metadata}
    if body.dataset_version is not None:
        metadata = {**(metadata or {}), "dataset_version": iso(body.dataset_version)}
    return DatasetRun(
        dataset_id=item.dataset_id,
        dataset_name=item.dataset_name,
        name=body.run_name,
        description=body.run_description,
        metadata=metadata or {},
    )
