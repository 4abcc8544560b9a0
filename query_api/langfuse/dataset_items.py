"""Serve ``/api/public/dataset-items``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.record import ID_CHARS_MAX
from query_api.context import AppContext, ProjectId
from query_api.documents.document import Document, check_version
from query_api.documents.documents import Documents
from query_api.documents.item_schemas import check_item
from query_api.errors import NotFoundError
from query_api.langfuse.dataset_bodies import DatasetItemBody
from query_api.langfuse.datasets import found_dataset
from query_api.langfuse.media_references import media_references_of
from query_api.langfuse.parameters import PageParameters, Text
from query_api.langfuse.shapes.dataset import DatasetItemOut, dataset_item_out
from query_api.openapi.dataset_examples import ITEM_EXAMPLE, ONE_PAGE
from query_api.pages import PageMeta, page_meta
from query_api.responses import Responses, json_response
from query_api.times import Instant, end_of_millisecond

ItemId = Annotated[str, Path(min_length=1, max_length=ID_CHARS_MAX, examples=[ITEM_EXAMPLE["id"]])]


class DatasetItemList(msgspec.Struct):
    data: list[DatasetItemOut]
    meta: PageMeta


class DatasetItemParameters(PageParameters):
    dataset_name: Text | None = None
    source_trace_id: Text | None = None
    source_observation_id: Text | None = None
    version: Instant | None = Field(None, description="The items as they were at this time.")


class ItemDeleted(msgspec.Struct):
    message: str = "Dataset item successfully deleted"


def dataset_items_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["datasets"])
    documents, documented = context.documents, context.documented
    one: Responses = {200: documented.response(DatasetItemOut, "The item.", ITEM_EXAMPLE)}
    listed: Responses = {
        200: documented.response(
            DatasetItemList, "A page of items.", {"data": [ITEM_EXAMPLE], "meta": ONE_PAGE}
        )
    }
    deleted: Responses = {
        200: documented.response(
            ItemDeleted, "The item is deleted.", {"message": ItemDeleted().message}
        )
    }

    @router.post("/api/public/dataset-items", summary="Create or change an item", responses=one)
    async def create_item(project_id: ProjectId, body: DatasetItemBody) -> Response:
        """Items are identified by their id, which is unique in the project."""
        return json_response(dataset_item_out(await put_item(documents, project_id, body)))

    @router.get("/api/public/dataset-items", summary="List items", responses=listed)
    async def list_items(
        project_id: ProjectId,
        parameters: Annotated[DatasetItemParameters, Query()],
        request: Request,
    ) -> Response:
        """Newest first, without archived ones; references to uploaded media are resolved."""
        conditions: dict[str, Any] = {
            "status": "ACTIVE",
            "subject": parameters.source_trace_id or "",
            "name": parameters.source_observation_id or "",
            "as_of_us": parameters.version and end_of_millisecond(parameters.version),
        }
        if parameters.dataset_name is not None:
            dataset = await found_dataset(documents, project_id, parameters.dataset_name)
            conditions["parent"] = dataset.id
        found, total = await documents.page(
            DatasetItem,
            project_id,
            offset=parameters.offset,
            limit=parameters.limit,
            **conditions,
        )
        meta = page_meta(parameters.page, parameters.limit, total)
        references = await media_references_of(context, found, str(request.base_url))
        data = [dataset_item_out(each, references.get(each.id)) for each in found]
        return json_response(DatasetItemList(data, meta))

    @router.get("/api/public/dataset-items/{item_id:path}", summary="Get an item", responses=one)
    async def get_item(project_id: ProjectId, item_id: ItemId, request: Request) -> Response:
        item = await documents.get(DatasetItem, project_id, item_id)
        if item is None:
            raise NotFoundError("Dataset item not found")
        references = await media_references_of(context, [item], str(request.base_url))
        return json_response(dataset_item_out(item, references.get(item.id)))

    @router.delete(
        "/api/public/dataset-items/{item_id:path}",
        summary="Delete an item",
        responses=deleted,
    )
    async def delete_item(project_id: ProjectId, item_id: ItemId) -> Response:
        """Earlier versions can still be read as of a time."""
        if not await documents.delete(DatasetItem, project_id, item_id):
            raise NotFoundError("Dataset item not found")
        return json_response(ItemDeleted())

    return router


async def put_item(
    documents: Documents, project_id: str, body: DatasetItemBody, opened: str | None = None
) -> Document[DatasetItem]:
    """Create or change an item of a dataset; ``opened`` is the version that must be changed.

    Raises:
        DocumentVersionError: it has another version.
        NotFoundError: there is no such dataset, or another one has the item.
        BadRequestError: the item does not meet the schemas of the dataset.
        ConflictError: the project has too many items.
        UnavailableError: it was not written in time.
    """
    dataset = await found_dataset(documents, project_id, body.dataset_name)

    def changed(before: DatasetItem | None) -> DatasetItem:
        check_version(before, opened)
        if before is not None and before.dataset_id != dataset.id:
            raise NotFoundError(
                f"The dataset item with id {body.id} already exists in a dataset other than"
                f" {body.dataset_name}"
            )
        item = body.applied(before, dataset.id)
        check_item(dataset.body, item)
        return item

    return await documents.change(DatasetItem, project_id, body.id or None, changed)
