"""Serve the runs of datasets below ``/api/public/datasets``."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.experiments.runs import (
    Run,
    delete_with_items,
    items_of_run,
    page_of_runs,
    run_named,
)
from query_api.langfuse.dataset_bodies import NAME_CHARS_MAX
from query_api.langfuse.datasets import DatasetName, found_dataset
from query_api.langfuse.parameters import PageParameters
from query_api.langfuse.shapes.dataset import (
    DatasetRunOut,
    DatasetRunWithItemsOut,
    dataset_run_item_out,
    dataset_run_out,
    fields_of_run,
)
from query_api.openapi.dataset_examples import ONE_PAGE, RUN_EXAMPLE, RUN_ITEM_EXAMPLE
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response

_RUNS: Final = "/api/public/datasets/{dataset_name:path}/runs"
RunName = Annotated[
    str,
    Path(min_length=1, max_length=NAME_CHARS_MAX, examples=[RUN_EXAMPLE["name"]]),
]


class DatasetRunList(msgspec.Struct):
    data: list[DatasetRunOut]
    meta: PageMeta


class RunDeleted(msgspec.Struct):
    message: str = "Dataset run successfully deleted"


def dataset_runs_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["datasets"])
    documents, documented = context.documents, context.documented
    one: Responses = {
        200: documented.response(
            DatasetRunWithItemsOut,
            "The run with its items.",
            {**RUN_EXAMPLE, "datasetRunItems": [RUN_ITEM_EXAMPLE]},
        )
    }
    listed: Responses = {
        200: documented.response(
            DatasetRunList, "A page of runs.", {"data": [RUN_EXAMPLE], "meta": ONE_PAGE}
        )
    }
    deleted: Responses = {
        200: documented.response(
            RunDeleted, "The run and its items are deleted.", {"message": RunDeleted().message}
        )
    }

    async def found_run(project_id: str, name: str, run_name: str) -> Run:
        dataset = await found_dataset(documents, project_id, name)
        run = await run_named(context, dataset, run_name)
        if run is None:
            raise NotFoundError("Dataset run not found")
        return run

    @router.get(f"{_RUNS}/{{run_name:path}}", summary="Get a run", responses=one)
    async def get_run(
        project_id: ProjectId, dataset_name: DatasetName, run_name: RunName
    ) -> Response:
        run = await found_run(project_id, dataset_name, run_name)
        items = await items_of_run(context, run)
        return json_response(
            DatasetRunWithItemsOut(
                **fields_of_run(run),
                dataset_run_items=[dataset_run_item_out(each) for each in items],
            )
        )

    @router.delete(f"{_RUNS}/{{run_name:path}}", summary="Delete a run", responses=deleted)
    async def delete_run(
        project_id: ProjectId,
        dataset_name: DatasetName,
        run_name: RunName,
    ) -> Response:
        """Its traces remain."""
        run = await found_run(project_id, dataset_name, run_name)
        await delete_with_items(context, run)
        return json_response(RunDeleted())

    @router.get(_RUNS, summary="List the runs of a dataset", responses=listed)
    async def list_runs(
        project_id: ProjectId,
        dataset_name: DatasetName,
        parameters: Annotated[PageParameters, Query()],
    ) -> Response:
        dataset = await found_dataset(documents, project_id, dataset_name)
        found, total = await page_of_runs(context, dataset, parameters.offset, parameters.limit)
        meta = page_meta(parameters.page, parameters.limit, total)
        return json_response(DatasetRunList([dataset_run_out(each) for each in found], meta))

    return router
