"""Serve ``/v1/datasets/items``, by which many items are imported at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from pydantic import AfterValidator, ConfigDict, Field
from starlette.responses import Response

from producers.documents.kinds.dataset import Dataset
from producers.documents.kinds.dataset_item import DatasetItem
from producers.documents.record import ID_CHARS_MAX
from query_api.body import AnyJson, Body, require_unicode
from query_api.context import AppContext, ProjectId
from query_api.documents.document import Document
from query_api.documents.item_schemas import check_item
from query_api.errors import BadRequestError, QueryApiError
from query_api.openapi.experiment_examples import IMPORT_REQUEST_EXAMPLE, IMPORTED_EXAMPLE
from query_api.responses import json_response
from query_api.v1.dataset_lookup import dataset_named
from query_api.v1.parameters import native_router, require_at_most

Id = Annotated[str, Field(min_length=1, max_length=ID_CHARS_MAX), AfterValidator(require_unicode)]


class ImportedItemBody(Body):
    """An item; null and absent fields of an existing item do not change."""

    model_config = ConfigDict(extra="forbid")

    id: Id | None = None
    input: AnyJson | None = None
    expected_output: AnyJson | None = None
    metadata: AnyJson | None = None
    source_trace_id: Id | None = None
    source_observation_id: Id | None = None
    status: Literal["ACTIVE", "ARCHIVED"] | None = None


class ImportBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [IMPORT_REQUEST_EXAMPLE]}
    )

    dataset: Id
    items: list[ImportedItemBody] = Field(min_length=1)


class RefusedItem(msgspec.Struct):
    index: int
    """Position in `items`, from 0."""
    message: str


class Imported(msgspec.Struct):
    written: int
    refused: list[RefusedItem]


def dataset_imports_router(context: AppContext) -> APIRouter:
    """Return the route."""
    router = native_router("datasets")
    per_request_max = context.settings.items_per_request_max
    done = context.documented.response(Imported, "The items are written.", IMPORTED_EXAMPLE)

    @router.post(
        "/v1/datasets/items",
        summary="Create or change many items of a dataset",
        description=f"At most {per_request_max} items (`items_per_request_max`). An item that is"
        " refused does not affect the others. If the response is 503, some may have been written;"
        " repeat the request.",
        responses={200: done},
    )
    async def import_items(project_id: ProjectId, body: ImportBody) -> Response:
        require_at_most(
            context.settings,
            len(body.items),
            setting="items_per_request_max",
            field="items",
            unit="in one request",
        )
        dataset = await dataset_named(context.documents, project_id, body.dataset)
        outcomes = await context.documents.change_all(
            DatasetItem,
            project_id,
            [(each.id or secrets.token_hex(12), _change(dataset, each)) for each in body.items],
        )
        refused = [
            RefusedItem(index, outcome.message)
            for index, outcome in enumerate(outcomes)
            if isinstance(outcome, QueryApiError)
        ]
        return json_response(Imported(len(outcomes) - len(refused), refused))

    return router


def _change(
    dataset: Document[Dataset], body: ImportedItemBody
) -> Callable[[DatasetItem | None], DatasetItem]:
    def changed(before: DatasetItem | None) -> DatasetItem:
        if before is not None and before.dataset_id != dataset.id:
            raise BadRequestError(f"id: another dataset has an item {body.id!r}", field="id")
        item = before or DatasetItem(dataset_id=dataset.id, dataset_name=dataset.body.name)
        given: dict[str, Any] = body.model_dump(exclude={"id"})
        changes = {name: value for name, value in given.items() if value is not None}
        item = msgspec.structs.replace(item, **changes)
        check_item(dataset.body, item)
        return item

    return changed
