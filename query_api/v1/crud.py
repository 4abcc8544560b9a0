"""Define routes that list, get, create, change, replace and delete control records of one kind.

A module of ``query_api.v1`` declares a ``Resource``: how a body becomes a record, and how a record
becomes a response. Everything else is derived from the record's kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from starlette.responses import Response

from producers.control.record import ControlRecord
from query_api.context import AppContext, Author, ProjectId
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.v1.etags import IfMatch, Precondition, with_etag
from query_api.v1.parameters import native_router
from query_api.v1.record_pages import ListParameters, page_of
from query_api.v1.records import records_of

RecordT = TypeVar("RecordT", bound=ControlRecord)
BodyT = TypeVar("BodyT", bound=BaseModel)

RECORD_ID_MAX: Final = 128
IF_MATCH: Final = (
    "With `If-Match: <ETag of an earlier response>`, the request has an effect only if the record"
    " has not changed since; otherwise the response is 409."
)

Create = Callable[[str, BodyT], Awaitable[RecordT]]
"""Return the record of an owner (project, or None: the installation) that a body describes."""


@dataclass(frozen=True, slots=True)
class Change(Generic[RecordT, BodyT]):
    """How ``PATCH`` changes a record."""

    body: type[BodyT]
    apply: Callable[[RecordT, BodyT], RecordT]
    """Return the record with the fields of the body."""
    check: Callable[[AppContext], Callable[[BodyT, RecordT], Awaitable[None]]] | None = None
    """Return the function that checks a body and the record before the change, if that needs to
    wait; it is called once. None: there is nothing to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[RecordT, BodyT]):
    """The routes of a kind of control records that belong to a project, or to the installation."""

    record: type[RecordT]
    path: str
    body: type[BodyT]
    """Body of a ``POST``."""
    create: Callable[[AppContext], Create[BodyT, RecordT]]
    """Return the function that creates records; it is called once."""
    shown: Callable[[RecordT], msgspec.Struct]
    """Return the response that describes a record, without its secrets."""
    shown_type: type[msgspec.Struct]
    example: Any
    created: Callable[[RecordT], msgspec.Struct] | None = None
    """Return the response to a ``POST`` if it differs, such as one with the new secret."""
    created_type: type[msgspec.Struct] | None = None
    created_example: Any = None
    warn: Callable[[AppContext, RecordT], Awaitable[list[str]]] | None = None
    """Return warnings about a record that was created or replaced, for the field ``warnings`` of
    the response. None: there are none."""
    change: Change[RecordT, Any] | None = None
    """None: records cannot be changed."""
    replace: Callable[[RecordT, BodyT], RecordT] | None = None
    """Return the record that replaces another for ``PUT``; without it, there is no such route.
    What a body cannot state, such as a secret or ``disabled``, remains."""
    check_replacement: (
        Callable[[AppContext], Callable[[BodyT, RecordT], Awaitable[None]]] | None
    ) = None
    """Like ``Change.check``, for the body of a ``PUT``."""
    owner: Any = ProjectId
    """Type of the routes' argument for the owner of records: a project, or None."""
    group: str = ""
    """Prefix of the routes' names, if several resources have the same kind."""
    limit_setting: str = ""
    """Setting that limits the records of an owner; by default, that of the kind."""
    about_create: str = ""
    about_created: str = "The new record; it is in effect."
    routes: Sequence[Callable[[APIRouter, AppContext], None]] = field(default=())
    """Functions that add routes that only this kind has."""

    @property
    def noun(self) -> str:
        """Return the name of a record in messages and in the path parameter."""
        return self.record.kind

    @property
    def versioned(self) -> bool:
        """Return whether records can change, so that responses have an ``ETag``."""
        return self.change is not None or self.replace is not None

    def route_name(self, action: str, noun: str = "") -> str:
        """Return the unique name of a route."""
        return "_".join(filter(None, (action, self.group, (noun or self.noun).replace(" ", "_"))))


def crud_router(context: AppContext, resource: Resource[Any, Any]) -> APIRouter:
    """Return the routes of a resource."""
    router = native_router(resource.record.plural)
    _add_create(router, context, resource)
    _add_list(router, context, resource)
    _add_get(router, context, resource)
    if resource.change is not None:
        _add_change(router, context, resource, resource.change)
    if resource.replace is not None:
        _add_replace(router, context, resource)
    _add_delete(router, context, resource)
    for add in resource.routes:
        add(router, context)
    return router


def record_id_of(resource_kind: str, example: Any) -> Any:
    """Return the type of the path parameter that is a record's id."""
    return Annotated[
        str, Path(alias=f"{resource_kind}_id", max_length=RECORD_ID_MAX, examples=[example["id"]])
    ]


def _add_create(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    records = records_of(context, resource)
    shown = resource.created or resource.shown

    async def create(owner: Any, body: BaseModel, author: Author) -> Response:
        made = await records.create(owner, body, author)  # type: ignore[arg-type]  # FastAPI has validated it
        return await _warned(context, resource, made, shown, status=201)

    create.__annotations__.update(owner=resource.owner, body=resource.body)
    created_type = resource.created_type or resource.shown_type
    example = resource.created_example or resource.example
    router.add_api_route(
        resource.path,
        create,
        methods=["POST"],
        status_code=201,
        name=resource.route_name("create"),
        summary=f"Create {_with_article(resource)}",
        description=resource.about_create,
        responses={201: context.documented.response(created_type, resource.about_created, example)},
    )


@cache
def _list_of(shown_type: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return the struct of a list of ``shown_type``; resources with the same type share it."""
    return msgspec.defstruct(
        f"{shown_type.__name__.removesuffix('Out')}List",
        [("data", list[shown_type]), ("meta", NativeMeta | msgspec.UnsetType, msgspec.UNSET)],  # type: ignore[valid-type]
        module=__name__,
    )


def _add_list(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    list_type = _list_of(resource.shown_type)
    records = records_of(context, resource)

    async def list_records(owner: Any, parameters: Annotated[ListParameters, Query()]) -> Response:
        page, meta = page_of(records.of(owner), parameters)
        return json_response(list_type([resource.shown(each) for each in page], meta))

    list_records.__annotations__["owner"] = resource.owner
    plural = resource.record.plural
    router.add_api_route(
        resource.path,
        list_records,
        methods=["GET"],
        name=resource.route_name("list", plural),
        summary=f"List {plural}",
        description="Oldest first; all records unless `limit` is given.",
        responses={
            200: context.documented.response(
                list_type, f"The {plural}.", {"data": [resource.example]}
            )
        },
    )


def _add_get(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    records = records_of(context, resource)

    async def get(owner: Any, record_id: str) -> Response:
        return _response(resource, records.find(owner, record_id), resource.shown)

    _annotate(get, resource)
    router.add_api_route(
        _record_path(resource),
        get,
        methods=["GET"],
        name=resource.route_name("get"),
        summary=f"Get {_with_article(resource)}",
        responses={200: _documented(context, resource)},
    )


def _add_change(
    router: APIRouter,
    context: AppContext,
    resource: Resource[RecordT, BodyT],
    change: Change[RecordT, Any],
) -> None:
    records = records_of(context, resource)

    async def change_record(
        owner: Any, record_id: str, body: BaseModel, if_match: IfMatch, author: Author
    ) -> Response:
        written = await records.change(owner, record_id, body, author, if_match)
        return _response(resource, written, resource.shown)

    _annotate(change_record, resource, body=change.body)
    router.add_api_route(
        _record_path(resource),
        change_record,
        methods=["PATCH"],
        name=resource.route_name("change"),
        summary=f"Change {_with_article(resource)}",
        description=IF_MATCH,
        responses={200: _documented(context, resource)},
    )


def _add_replace(
    router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]
) -> None:
    records = records_of(context, resource)

    async def replace_record(
        owner: Any, record_id: str, body: BaseModel, if_match: IfMatch, author: Author
    ) -> Response:
        written = await records.replace(owner, record_id, body, author, if_match)  # type: ignore[arg-type]  # FastAPI has validated it
        return await _warned(context, resource, written, resource.shown)

    _annotate(replace_record, resource, body=resource.body)
    router.add_api_route(
        _record_path(resource),
        replace_record,
        methods=["PUT"],
        name=resource.route_name("replace"),
        summary=f"Replace {_with_article(resource)}",
        description="Fields that are not given get their defaults. The id, `created_at` and what a"
        f" body cannot state, such as `disabled`, remain. {IF_MATCH}",
        responses={200: _documented(context, resource)},
    )


def _add_delete(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    records = records_of(context, resource)

    async def delete(owner: Any, record_id: str) -> Response:
        return await _delete(owner, record_id, None)

    async def delete_version(owner: Any, record_id: str, if_match: IfMatch) -> Response:
        return await _delete(owner, record_id, if_match)

    async def _delete(owner: str | None, record_id: str, if_match: Precondition | None) -> Response:
        await records.delete(owner, record_id, if_match)
        return Response(status_code=204)

    endpoint = delete_version if resource.versioned else delete
    _annotate(endpoint, resource)
    router.add_api_route(
        _record_path(resource),
        endpoint,
        methods=["DELETE"],
        status_code=204,
        name=resource.route_name("delete"),
        summary=f"Delete {_with_article(resource)}",
        description=IF_MATCH if resource.versioned else "",
    )


def _annotate(
    endpoint: Callable[..., Any], resource: Resource[Any, Any], **more: type[BaseModel]
) -> None:
    """Set the types of arguments that depend on the resource."""
    record_id = record_id_of(resource.noun, resource.example)
    endpoint.__annotations__.update(owner=resource.owner, record_id=record_id, **more)


async def _warned(
    context: AppContext,
    resource: Resource[RecordT, BodyT],
    record: RecordT,
    shown: Callable[[RecordT], msgspec.Struct],
    status: int = 200,
) -> Response:
    """Return the response to a request that wrote a whole record, with warnings about it."""
    if resource.warn is None:
        return _response(resource, record, shown, status=status)
    warnings = await resource.warn(context, record)

    def warned(each: RecordT) -> msgspec.Struct:
        return msgspec.structs.replace(shown(each), warnings=warnings)

    return _response(resource, record, warned, status=status)


def _response(
    resource: Resource[RecordT, BodyT],
    record: RecordT,
    shown: Callable[[RecordT], msgspec.Struct],
    *,
    status: int = 200,
) -> Response:
    response = json_response(shown(record), status=status)
    if resource.versioned:
        with_etag(response, record)
    return response


def _documented(context: AppContext, resource: Resource[RecordT, BodyT]) -> dict[str, Any]:
    about = f"The {resource.noun.replace('_', ' ')}."
    return context.documented.response(resource.shown_type, about, resource.example)


def _record_path(resource: Resource[RecordT, BodyT]) -> str:
    return f"{resource.path}/{{{resource.noun}_id}}"


def _with_article(resource: Resource[RecordT, BodyT]) -> str:
    noun = resource.noun.replace("_", " ")
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
