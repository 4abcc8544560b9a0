"""Serve ``/api/public/datasets``, the version 1 of the API, whose datasets contain their items."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from query_api.context import AppContext, ProjectId
from query_api.documents.document import Document
from query_api.experiments.runs import all_runs
from query_api.langfuse.dataset_bodies import DatasetBody
from query_api.langfuse.datasets import (
    DatasetName,
    found_dataset,
    page_of_datasets,
    put_dataset,
)
from query_api.langfuse.parameters import PageParameters
from query_api.langfuse.shapes.dataset import (
    DatasetIdsOut,
    DatasetWithItemsOut,
    dataset_item_out,
    fields_of_dataset,
)
from query_api.openapi.dataset_examples import DATASET_EXAMPLE, ITEM_EXAMPLE, ONE_PAGE
from query_api.pages import PageMeta
from query_api.responses import Responses, json_response


class DatasetIdsList(msgspec.Struct):
    data: list[DatasetIdsOut]
    meta: PageMeta


def datasets_v1_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["datasets"])
    documents, documented = context.documents, context.documented
    old = {**DATASET_EXAMPLE, "items": [ITEM_EXAMPLE], "runs": ["gpt-4o-mini"]}
    one_old: Responses = {200: documented.response(DatasetWithItemsOut, "The dataset.", old)}
    old_list = {"data": [{**old, "items": [ITEM_EXAMPLE["id"]]}], "meta": ONE_PAGE}
    listed_old: Responses = {
        200: documented.response(DatasetIdsList, "A page of datasets.", old_list)
    }

    async def items_and_runs(
        dataset: Document[Dataset],
    ) -> tuple[list[Document[DatasetItem]], list[str]]:
        project_id = dataset.project_id
        items = await documents.all(DatasetItem, project_id, parent=dataset.id, status="ACTIVE")
        runs = await all_runs(context, dataset)
        return items, [each.body.name for each in runs]

    @router.post(
        "/api/public/datasets",
        summary="Create or change a dataset (version 1)",
        responses=one_old,
    )
    async def create_old_dataset(project_id: ProjectId, body: DatasetBody) -> Response:
        dataset = await put_dataset(documents, project_id, body)
        items, runs = await items_and_runs(dataset)
        return json_response(_with_items(dataset, items, runs))

    @router.get("/api/public/datasets", summary="List datasets (version 1)", responses=listed_old)
    async def list_old_datasets(
        project_id: ProjectId, parameters: Annotated[PageParameters, Query()]
    ) -> Response:
        found, meta = await page_of_datasets(documents, project_id, parameters)
        data = []
        for dataset in found:
            items, runs = await items_and_runs(dataset)
            ids = [each.id for each in items]
            data.append(DatasetIdsOut(**fields_of_dataset(dataset), items=ids, runs=runs))
        return json_response(DatasetIdsList(data, meta))

    @router.get(
        "/api/public/datasets/{dataset_name:path}",
        summary="Get a dataset with its items (version 1)",
        responses=one_old,
    )
    async def get_old_dataset(project_id: ProjectId, dataset_name: DatasetName) -> Response:
        dataset = await found_dataset(documents, project_id, dataset_name)
        items, runs = await items_and_runs(dataset)
        return json_response(_with_items(dataset, items, runs))

    return router


def _with_items(
    dataset: Document[Dataset], items: list[Document[DatasetItem]], runs: list[str]
) -> DatasetWithItemsOut:
    return DatasetWithItemsOut(
        **fields_of_dataset(dataset), items=[dataset_item_out(each) for each in items], runs=runs
    )
