"""Serve ``/v1/views``: views of the console's pages, saved under names."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter
from pydantic import ConfigDict, Field

from producers.documents.kinds.saved_view import SavedView, saved_view_id
from query_api.body import Body
from query_api.context import AppContext
from query_api.documents.document import Document, DocumentVersionError
from query_api.errors import BadRequestError, ConflictError
from query_api.openapi.saved_view_examples import (
    SAVED_VIEW_EXAMPLE,
    SAVED_VIEW_REQUEST_EXAMPLE,
)
from query_api.texts import OneLine, RecordName
from query_api.times import iso
from query_api.v1.document_crud import (
    DocumentResource,
    document_router,
    found_document,
    replacing,
)
from query_api.v1.etags import Precondition
from query_api.v1.parameters import KeysetParameters

QUERY_CHARS_MAX: Final = 4_000
PageName = Literal["traces", "observations", "sessions", "users", "explore"]


class SavedViewBody(Body):
    """A view of a page of the console."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [SAVED_VIEW_REQUEST_EXAMPLE]}
    )

    page: PageName
    name: RecordName = Field(description="Unique among the views of the page.")
    query: Annotated[OneLine, Field(max_length=QUERY_CHARS_MAX)] = Field(
        "", description="Query string of the page's address, without the cursor of a page."
    )


class SavedViewParameters(KeysetParameters):
    """Paging, newest views first."""

    page: PageName | None = Field(None, description="Only the views of this page.")


class SavedViewOut(msgspec.Struct, kw_only=True):
    id: str
    """It depends on the page and the name."""
    page: str
    name: str
    query: str
    author: str
    """Public key of who created it."""
    created_at: str
    updated_at: str


async def create_view(
    context: AppContext, project_id: str, body: SavedViewBody, author: str
) -> Document[SavedView]:
    """Save a view.

    Raises:
        BadRequestError: the page has no such query.
        ConflictError: the page has a view with this name, or the project has too many.
        UnavailableError: it was not written in time.
    """
    view = _view_of(context, body, author)
    return await _create(context, project_id, view)


async def replace_view(
    context: AppContext,
    project_id: str,
    id_: str,
    body: SavedViewBody,
    precondition: Precondition | None = None,
) -> Document[SavedView]:
    """Replace a view; one with another page or name gets another id, and then the old is deleted.

    Raises:
        NotFoundError: there is no such view.
        DocumentVersionError: it does not meet the precondition.
        BadRequestError, ConflictError, UnavailableError: as ``create_view``.
    """
    before = await found_document(context, SavedView, project_id, id_)
    after = _view_of(context, body, before.body.author)
    if saved_view_id(project_id, after.page, after.name) == id_:
        change = replacing(SavedView, id_, precondition, lambda _: after)
        return await context.documents.change(SavedView, project_id, id_, change)
    check = None if precondition is None else precondition.require
    if check is not None:
        check(before.body)
    made = await _create(context, project_id, after, before.created_us)
    try:
        await context.documents.delete(SavedView, project_id, id_, check)
    except DocumentVersionError:  # it was changed meanwhile, so nothing is renamed
        await context.documents.delete(SavedView, project_id, made.id)
        raise
    return made


async def _create(
    context: AppContext, project_id: str, view: SavedView, created_us: int | None = None
) -> Document[SavedView]:
    def created(before: SavedView | None) -> SavedView:
        if before is not None:
            message = f"name: the page {view.page} already has a view {view.name!r}"
            raise ConflictError(message)
        return view

    id_ = saved_view_id(project_id, view.page, view.name)
    return await context.documents.change(
        SavedView, project_id, id_, created, created_us=created_us
    )


def _view_of(context: AppContext, body: SavedViewBody, author: str) -> SavedView:
    try:
        query = context.page_queries[body.page](body.query, context.settings)
    except BadRequestError as error:
        raise BadRequestError(
            f"query: {error.message}", field="query", allowed=error.allowed
        ) from error
    return SavedView(page=body.page, name=body.name.strip(), query=query, author=author)


def _shown(view: Document[SavedView]) -> SavedViewOut:
    body = view.body
    return SavedViewOut(
        id=view.id,
        page=body.page,
        name=body.name,
        query=body.query,
        author=body.author,
        created_at=iso(view.created_us),
        updated_at=iso(view.updated_us),
    )


RESOURCE: Final[DocumentResource[Any, Any, Any]] = DocumentResource(
    kind=SavedView,
    path="/v1/views",
    noun="saved_view",
    body=SavedViewBody,
    create=create_view,
    replace=replace_view,
    shown=_shown,
    shown_type=SavedViewOut,
    example=SAVED_VIEW_EXAMPLE,
    parameters=SavedViewParameters,
    parent_of=lambda parameters: parameters.page or "",
    about_create="The query is checked as the page checks it, and stored without defaults and"
    " without what only a page of rows has. If the page has a view with the name, the response is"
    " 409.",
    about_replace="A view that gets another page or name gets another `id`, too.",
)


def saved_views_router(context: AppContext) -> APIRouter:
    return document_router(context, RESOURCE)
