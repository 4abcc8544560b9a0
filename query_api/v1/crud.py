"""Define routes that list, get, create, change and delete the control records of one kind.

A module of ``query_api.v1`` declares a ``Resource``: how a body becomes a record, and how a record
becomes an answer. Everything else is derived from the record's kind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from producers.control.record import ProjectRecord
from query_api import cursors
from query_api.answers import answer
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.numbers import Whole
from query_api.pages import NativeMeta
from query_api.quota import Quota
from query_api.settings import limit_setting
from query_api.v1.parameters import Name, NativeParameters, native_router

RecordT = TypeVar("RecordT", bound=ProjectRecord)
BodyT = TypeVar("BodyT", bound=BaseModel)

PAGE_MAX: Final = 1_000
RECORD_ID_MAX: Final = 128

Create = Callable[[str, BodyT], Awaitable[RecordT]]
"""Return the new record of a project that a body describes."""


@dataclass(frozen=True, slots=True)
class Change(Generic[RecordT, BodyT]):
    """How ``PATCH`` changes a record."""

    body: type[BodyT]
    apply: Callable[[RecordT, BodyT], RecordT]
    """Return the record with the fields of the body replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[RecordT, BodyT]):
    """The routes of a kind of control records that belong to a project."""

    record: type[RecordT]
    path: str
    body: type[BodyT]
    """Body of a ``POST``."""
    create: Callable[[AppContext], Create[BodyT, RecordT]]
    """Return the function that creates records; called once."""
    shown: Callable[[RecordT], msgspec.Struct]
    """Return the answer that describes a record, without its secrets."""
    shown_type: type[msgspec.Struct]
    example: Any
    created: Callable[[RecordT], msgspec.Struct] | None = None
    """Return the answer to a ``POST`` if it differs, such as one with the new secret."""
    created_type: type[msgspec.Struct] | None = None
    created_example: Any = None
    change: Change[RecordT, Any] | None = None
    """None: records cannot be changed."""
    about_create: str = ""
    about_created: str = "The new record; it is in effect."
    routes: Sequence[Callable[[APIRouter, AppContext], None]] = field(default=())
    """Functions that add routes which only this kind has."""

    @property
    def noun(self) -> str:
        """Return the name of a record in messages and in the path's parameter."""
        return self.record.kind


class ListParameters(NativeParameters):
    """Paging, oldest records first; without both parameters, all records are returned."""

    limit: Whole | None = Field(default=None, ge=1, le=PAGE_MAX)
    cursor: Name | None = Field(default=None, description="`meta.cursor` of the previous page.")


class _Position(msgspec.Struct):
    created_us: int
    id: str


def find(context: AppContext, record: type[RecordT], project_id: str, record_id: str) -> RecordT:
    """Return a record of a project.

    Raises:
        NotFoundError: the project has no such record.
    """
    found = context.control.view.in_project(record, project_id).get(record_id)
    if found is None:
        raise NotFoundError(f"no {record.kind.replace('_', ' ')} {record_id!r}")
    return found


def crud_router(context: AppContext, resource: Resource[Any, Any]) -> APIRouter:
    """Return the routes of a resource."""
    router = native_router(resource.record.plural)
    _add_create(router, context, resource)
    _add_list(router, context, resource)
    _add_get(router, context, resource)
    if resource.change is not None:
        _add_change(router, context, resource, resource.change)
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
    record = resource.record
    setting = limit_setting(record)
    limit = getattr(context.settings, setting, record.per_project_max)
    quota = Quota(record.plural, setting, limit) if limit is not None else None
    make = resource.create(context)
    shown = resource.created or resource.shown

    async def create(project_id: ProjectId, body: BaseModel) -> Response:
        made = await make(project_id, body)  # type: ignore[arg-type]  # it is checked to be one
        if quota is None:
            await context.control.create(made)
        else:
            with quota.taken_by(made, context.control.view.in_project(record, project_id)):
                await context.control.create(made)
        return _answer(context, resource, made, shown, status=201)

    create.__annotations__["body"] = resource.body
    created_type = resource.created_type or resource.shown_type
    example = resource.created_example or resource.example
    router.add_api_route(
        resource.path,
        create,
        methods=["POST"],
        status_code=201,
        name=f"create_{resource.noun}",
        summary=f"Create {_a(resource)}",
        description=resource.about_create,
        responses={
            201: context.documented.as_answer(created_type, resource.about_created, example)
        },
    )


def _add_list(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    shown_type = resource.shown_type
    list_type = msgspec.defstruct(
        f"{shown_type.__name__.removesuffix('Out')}List",
        [("data", list[shown_type]), ("meta", NativeMeta | msgspec.UnsetType, msgspec.UNSET)],  # type: ignore[valid-type]
        module=__name__,
    )

    async def list_records(
        project_id: ProjectId, parameters: Annotated[ListParameters, Query()]
    ) -> Response:
        records = context.control.view.in_project(resource.record, project_id).values()
        ordered = sorted(records, key=lambda each: each.position)
        if parameters.cursor is not None:
            after = cursors.decode(parameters.cursor, _Position)
            ordered = [each for each in ordered if each.position > (after.created_us, after.id)]
        if parameters.limit is None and parameters.cursor is None:
            return answer(list_type([resource.shown(each) for each in ordered]))
        limit = parameters.limit or PAGE_MAX
        page, has_more = ordered[:limit], len(ordered) > limit
        cursor = cursors.encode(_Position(*page[-1].position)) if has_more else None
        shown = [resource.shown(each) for each in page]
        return answer(list_type(shown, NativeMeta(has_more=has_more, cursor=cursor)))

    plural = resource.record.plural
    router.add_api_route(
        resource.path,
        list_records,
        methods=["GET"],
        name=f"list_{plural.replace(' ', '_')}",
        summary=f"List {plural}",
        description="Oldest first; all records unless `limit` is given.",
        responses={
            200: context.documented.as_answer(
                list_type, f"The {plural}.", {"data": [resource.example]}
            )
        },
    )


def _add_get(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    async def get(project_id: ProjectId, record_id: str) -> Response:
        found = find(context, resource.record, project_id, record_id)
        return _answer(context, resource, found, resource.shown)

    get.__annotations__["record_id"] = record_id_of(resource.noun, resource.example)
    router.add_api_route(
        _one(resource),
        get,
        methods=["GET"],
        name=f"get_{resource.noun}",
        summary=f"Get {_a(resource)}",
        responses={200: _documented(context, resource)},
    )


def _add_change(
    router: APIRouter,
    context: AppContext,
    resource: Resource[RecordT, BodyT],
    change: Change[RecordT, Any],
) -> None:
    async def change_record(
        project_id: ProjectId,
        record_id: str,
        body: BaseModel,
        if_match: Annotated[str | None, Header(alias="If-Match", max_length=100)] = None,
    ) -> Response:
        found = find(context, resource.record, project_id, record_id)
        changed = await context.control.update(
            resource.record,
            found.id,
            lambda current: change.apply(current, body),
            expected=_version_in(if_match),
        )
        if changed is None:
            raise NotFoundError(f"no {resource.noun.replace('_', ' ')} {record_id!r}")
        return _answer(context, resource, changed, resource.shown)

    change_record.__annotations__["record_id"] = record_id_of(resource.noun, resource.example)
    change_record.__annotations__["body"] = change.body
    router.add_api_route(
        _one(resource),
        change_record,
        methods=["PATCH"],
        name=f"change_{resource.noun}",
        summary=f"Change {_a(resource)}",
        description="With `If-Match: <ETag of an earlier answer>`, the change is made only if the"
        " record has not changed since; otherwise the answer is 409.",
        responses={200: _documented(context, resource)},
    )


def _add_delete(router: APIRouter, context: AppContext, resource: Resource[RecordT, BodyT]) -> None:
    async def delete(project_id: ProjectId, record_id: str) -> Response:
        found = find(context, resource.record, project_id, record_id)
        await context.control.delete(found.kind, found.id)
        return Response(status_code=204)

    delete.__annotations__["record_id"] = record_id_of(resource.noun, resource.example)
    router.add_api_route(
        _one(resource),
        delete,
        methods=["DELETE"],
        status_code=204,
        name=f"delete_{resource.noun}",
        summary=f"Delete {_a(resource)}",
    )


def _answer(
    context: AppContext,
    resource: Resource[RecordT, BodyT],
    record: RecordT,
    shown: Callable[[RecordT], msgspec.Struct],
    *,
    status: int = 200,
) -> Response:
    response = answer(shown(record), status=status)
    if resource.change is not None:
        version = context.control.version_of(record.kind, record.id)
        if version is not None:
            response.headers["ETag"] = f'"{version}"'
    return response


def _version_in(if_match: str | None) -> int | None:
    """Return the version that ``If-Match`` requires; None if any."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise BadRequestError("If-Match: must be the ETag of an earlier answer", field="If-Match")
    return int(text)


def _documented(context: AppContext, resource: Resource[RecordT, BodyT]) -> dict[str, Any]:
    about = f"The {resource.noun.replace('_', ' ')}."
    return context.documented.as_answer(resource.shown_type, about, resource.example)


def _one(resource: Resource[RecordT, BodyT]) -> str:
    return f"{resource.path}/{{{resource.noun}_id}}"


def _a(resource: Resource[RecordT, BodyT]) -> str:
    noun = resource.noun.replace("_", " ")
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
