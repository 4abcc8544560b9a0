"""Serve ``/api/public/v2/datasets``."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset, dataset_id
from producers.documents.kinds.dataset_item import DatasetItem
from query_api.context import AppContext, ProjectId
from query_api.documents.document import Document, check_version
from query_api.documents.documents import Documents
from query_api.documents.item_schemas import check_item
from query_api.errors import BadRequestError, NotFoundError
from query_api.langfuse.dataset_bodies import NAME_CHARS_MAX, DatasetBody
from query_api.langfuse.parameters import PageParameters
from query_api.langfuse.shapes.dataset import (
    DatasetIdsOut,
    DatasetOut,
    dataset_out,
)
from query_api.openapi.dataset_examples import DATASET_EXAMPLE, ONE_PAGE
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response

DatasetName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=NAME_CHARS_MAX,
        examples=[DATASET_EXAMPLE["name"]],
        description="A slash may be encoded as `%2F` or not.",
    ),
]


class DatasetList(msgspec.Struct):
    data: list[DatasetOut]
    meta: PageMeta


class DatasetIdsList(msgspec.Struct):
    data: list[DatasetIdsOut]
    meta: PageMeta


async def found_dataset(documents: Documents, project_id: str, name: str) -> Document[Dataset]:
    """Return a dataset by name, which some clients percent-encode once more.

    Raises:
        NotFoundError: there is none.
    """
    for each in dict.fromkeys((name, unquote(name))):
        found = await documents.get(Dataset, project_id, dataset_id(project_id, each))
        if found is not None:
            return found
    raise NotFoundError("Dataset not found")


def datasets_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["datasets"])
    documents, documented = context.documents, context.documented
    one: Responses = {200: documented.response(DatasetOut, "The dataset.", DATASET_EXAMPLE)}
    listed: Responses = {
        200: documented.response(
            DatasetList, "A page of datasets.", {"data": [DATASET_EXAMPLE], "meta": ONE_PAGE}
        )
    }

    @router.post("/api/public/v2/datasets", summary="Create or change a dataset", responses=one)
    async def create_dataset(project_id: ProjectId, body: DatasetBody) -> Response:
        """Names are unique. If a schema is given, existing items must meet it, too."""
        return json_response(dataset_out(await put_dataset(documents, project_id, body)))

    @router.get("/api/public/v2/datasets", summary="List datasets", responses=listed)
    async def list_datasets(
        project_id: ProjectId, parameters: Annotated[PageParameters, Query()]
    ) -> Response:
        found, meta = await page_of_datasets(documents, project_id, parameters)
        return json_response(DatasetList([dataset_out(each) for each in found], meta))

    @router.get(
        "/api/public/v2/datasets/{dataset_name:path}", summary="Get a dataset", responses=one
    )
    async def get_dataset(project_id: ProjectId, dataset_name: DatasetName) -> Response:
        return json_response(dataset_out(await found_dataset(documents, project_id, dataset_name)))

    return router


async def put_dataset(
    documents: Documents, project_id: str, body: DatasetBody, opened: str | None = None
) -> Document[Dataset]:
    """Create or change a dataset; ``opened`` is the version that must be changed.

    Raises:
        DocumentVersionError: it has another version.
        BadRequestError: a schema is invalid, or an existing item does not meet it.
    """
    body.checked()
    id_ = dataset_id(project_id, body.name)
    if body.model_fields_set & {"input_schema", "expected_output_schema"}:
        await _check_items(documents, project_id, id_, body)

    def changed(before: Dataset | None) -> Dataset:
        check_version(before, opened)
        return body.applied(before)

    return await documents.change(Dataset, project_id, id_, changed)


async def page_of_datasets(
    documents: Documents, project_id: str, parameters: PageParameters
) -> tuple[list[Document[Dataset]], PageMeta]:
    """Return a page of datasets, the newest first."""
    found, total = await documents.page(
        Dataset, project_id, offset=parameters.offset, limit=parameters.limit
    )
    return found, page_meta(parameters.page, parameters.limit, total)


async def _check_items(documents: Documents, project_id: str, id_: str, body: DatasetBody) -> None:
    """Check the existing items of a dataset against its new schemas.

    Raises:
        BadRequestError: an item does not meet them.
    """
    before = await documents.get(Dataset, project_id, id_)
    if before is None:
        return
    changed = body.applied(before.body)
    for item in await documents.all(DatasetItem, project_id, parent=id_, status="ACTIVE"):
        try:
            check_item(changed, item.body)
        except BadRequestError as error:
            message = f"the existing item {item.id[:100]!r}: {error.message}"
            raise BadRequestError(message, field=f"{error.field}Schema") from error
