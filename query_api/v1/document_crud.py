"""Define routes that list, get, create, replace and delete documents of one kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from producers.documents.kind import DocumentBody
from producers.documents.record import ID_CHARS_MAX
from query_api.context import AppContext, Author, ProjectId
from query_api.documents.document import BodyT, Document, version_of
from query_api.errors import NotFoundError
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.queries.documents import DocumentConditions
from query_api.v1.crud import IF_MATCH
from query_api.v1.etags import IfMatch, Precondition
from query_api.v1.parameters import KeysetParameters, keyset_page, native_router

RequestT = TypeVar("RequestT", bound=BaseModel)
ParametersT = TypeVar("ParametersT", bound=KeysetParameters)

Create = Callable[[AppContext, str, RequestT, str], Awaitable[Document[BodyT]]]
"""Create the document of a project that a body describes; the last argument is its author."""
Replace = Callable[
    [AppContext, str, str, RequestT, Precondition | None], Awaitable[Document[BodyT]]
]
"""Replace the document of a project with an id by what a body describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentResource(Generic[BodyT, RequestT, ParametersT]):
    """The routes of a kind of documents."""

    kind: type[BodyT]
    path: str
    noun: str
    """Name of a document in the names of routes, and in the path parameter."""
    body: type[RequestT]
    """Body of a ``POST`` and of a ``PUT``."""
    create: Create[RequestT, BodyT]
    replace: Replace[RequestT, BodyT]
    shown: Callable[[Document[BodyT]], msgspec.Struct]
    """Return the response that describes a document."""
    shown_type: type[msgspec.Struct]
    example: Any
    parameters: type[ParametersT]
    """Parameters of the list."""
    parent_of: Callable[[ParametersT], str] = lambda _: ""
    """Return the parent whose documents are listed; empty: all are."""
    about_create: str = ""
    about_replace: str = ""


async def found_document(
    context: AppContext, kind: type[BodyT], project_id: str, id_: str
) -> Document[BodyT]:
    """Return a document of a project.

    Raises:
        NotFoundError: there is none.
        UnavailableError, TooCostlyError: as ``Documents.get``.
    """
    found = await context.documents.get(kind, project_id, id_)
    if found is None:
        raise missing_document(kind, id_)
    return found


def missing_document(kind: type[DocumentBody], id_: str) -> NotFoundError:
    """Return the error of a document that does not exist."""
    return NotFoundError(f"no {kind.kind.replace('_', ' ')} {id_[:100]!r}")


def replacing(
    kind: type[BodyT],
    id_: str,
    precondition: Precondition | None,
    after: Callable[[BodyT], BodyT],
) -> Callable[[BodyT | None], BodyT]:
    """Return the function for ``Documents.change`` that replaces a document if it may.

    ``after`` returns the new content for the present one. The function raises:
        NotFoundError: there is no such document.
        DocumentVersionError: it does not meet the precondition.
    """

    def change(before: BodyT | None) -> BodyT:
        if before is None:
            raise missing_document(kind, id_)
        if precondition is not None:
            precondition.require(before)
        return after(before)

    return change


async def delete_document(
    context: AppContext,
    kind: type[BodyT],
    project_id: str,
    id_: str,
    precondition: Precondition | None,
) -> None:
    """Delete a document of a project.

    Raises:
        NotFoundError: there is none.
        DocumentVersionError: it does not meet the precondition.
        UnavailableError: as ``Documents.delete``.
    """
    check = None if precondition is None else precondition.require
    if not await context.documents.delete(kind, project_id, id_, check):
        raise missing_document(kind, id_)


async def document_page(
    context: AppContext,
    kind: type[BodyT],
    project_id: str,
    parameters: KeysetParameters,
    parent: str = "",
) -> tuple[Sequence[Document[BodyT]], NativeMeta]:
    """Return a page of documents, the newest first. Raises: as ``Documents.matching``."""
    conditions = DocumentConditions(kind=kind.kind, parent=parent, below=parameters.position())
    limit = parameters.limit
    found = await context.documents.matching(kind, project_id, conditions, limit + 1)
    return keyset_page(found, limit, lambda each: (each.created_us, each.id))


def document_router(context: AppContext, resource: DocumentResource[Any, Any, Any]) -> APIRouter:
    """Return the routes of a resource."""
    kind, noun = resource.kind, resource.noun
    title, plural = noun.replace("_", " "), kind.plural
    router = native_router(plural)
    documented = context.documented
    id_type = Annotated[
        str,
        Path(
            alias=f"{noun}_id",
            min_length=1,
            max_length=ID_CHARS_MAX,
            examples=[resource.example["id"]],
        ),
    ]
    list_type = msgspec.defstruct(
        f"{resource.shown_type.__name__.removesuffix('Out')}List",
        [("data", list[resource.shown_type]), ("meta", NativeMeta)],  # type: ignore[name-defined]
        module=__name__,
    )
    one = documented.response(resource.shown_type, f"The {title}.", resource.example)
    new = documented.response(resource.shown_type, f"The new {title}.", resource.example)
    listed = documented.response(
        list_type,
        f"A page of {plural}.",
        {"data": [resource.example], "meta": {"has_more": False, "cursor": None}},
    )

    async def create(project_id: ProjectId, body: BaseModel, author: Author) -> Response:
        return _response(resource, await resource.create(context, project_id, body, author), 201)

    async def list_all(project_id: ProjectId, parameters: Any) -> Response:
        parent = resource.parent_of(parameters)
        page, meta = await document_page(context, kind, project_id, parameters, parent)
        return json_response(list_type([resource.shown(each) for each in page], meta))

    async def get(project_id: ProjectId, document_id: str) -> Response:
        return _response(resource, await found_document(context, kind, project_id, document_id))

    async def replace(
        project_id: ProjectId, document_id: str, body: BaseModel, if_match: IfMatch
    ) -> Response:
        written = await resource.replace(context, project_id, document_id, body, if_match)
        return _response(resource, written)

    async def delete(project_id: ProjectId, document_id: str, if_match: IfMatch) -> Response:
        await delete_document(context, kind, project_id, document_id, if_match)
        return Response(status_code=204)

    create.__annotations__["body"] = resource.body
    replace.__annotations__["body"] = resource.body
    for of_id in (get.__annotations__, replace.__annotations__, delete.__annotations__):
        of_id["document_id"] = id_type
    list_all.__annotations__["parameters"] = Annotated[resource.parameters, Query()]

    def add(method: str, endpoint: Any, of: str, about: str = "", **more: Any) -> None:
        verb = f"{of} {plural}" if of == "list" else f"{of} a {title}"
        path = resource.path if of in {"create", "list"} else f"{resource.path}/{{{noun}_id}}"
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            name=verb.replace(" a ", " ").replace(" ", "_"),
            summary=verb.capitalize(),
            description=about,
            **more,
        )

    add("POST", create, "create", resource.about_create, status_code=201, responses={201: new})
    add("GET", list_all, "list", "Newest first.", responses={200: listed})
    add("GET", get, "get", responses={200: one})
    about = f"{resource.about_replace} {IF_MATCH}".strip()
    add("PUT", replace, "replace", about, responses={200: one})
    add("DELETE", delete, "delete", IF_MATCH, status_code=204)
    return router


def _response(
    resource: DocumentResource[Any, Any, Any], document: Document[Any], status: int = 200
) -> Response:
    response = json_response(resource.shown(document), status=status)
    response.headers["ETag"] = f'"{version_of(document.body)}"'
    return response
