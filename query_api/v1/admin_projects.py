"""Serve ``/v1/admin/projects``: the projects of the installation."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from starlette.responses import Response

from clickhouse.errors import StoreError
from clickhouse.project_rows import rows_left
from producers.control.kinds.project import Project
from producers.control.record import NEW_PROJECT_ID, new_project_id
from query_api.body import Body, JsonObject
from query_api.context import Admin, AppContext, Installation
from query_api.openapi.admin_examples import (
    PROJECT_CHANGE_EXAMPLE,
    PROJECT_DELETING_EXAMPLE,
    PROJECT_EXAMPLE,
    PROJECT_REQUEST_EXAMPLE,
    PROJECT_STATUS_EXAMPLE,
)
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.tenants.projects import metadata_of
from query_api.times import iso
from query_api.v1.crud import RECORD_ID_MAX
from query_api.v1.etags import IfMatch, expected_version, with_etag
from query_api.v1.parameters import native_router
from query_api.v1.record_pages import ListParameters, page_of

ProjectName = Annotated[str, Field(min_length=1, max_length=255)]
NewProjectId = Annotated[
    str,
    AfterValidator(new_project_id),
    WithJsonSchema({"type": "string", "pattern": NEW_PROJECT_ID}),
]
ProjectPath = Annotated[
    str, Path(alias="project_id", max_length=RECORD_ID_MAX, examples=[PROJECT_EXAMPLE["id"]])
]


class ProjectBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [PROJECT_REQUEST_EXAMPLE]}
    )

    id: NewProjectId | None = Field(None, description="By default, an id is generated.")
    name: ProjectName
    metadata: JsonObject = {}


class ProjectChangeBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [PROJECT_CHANGE_EXAMPLE]}
    )

    name: ProjectName | None = None
    metadata: JsonObject | None = Field(None, description="Replaces all metadata.")


class AdminProjectOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    metadata: dict[str, Any]
    state: str
    """``active``, ``deleting`` or ``deleted``."""
    created_at: str
    deleting_since: str | None
    deleted_at: str | None


class AdminProjectStatus(AdminProjectOut, kw_only=True):
    rows_left: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Only in the state ``deleting``: number of stored row versions, by table."""


class AdminProjectList(msgspec.Struct):
    data: list[AdminProjectOut]
    meta: NativeMeta | msgspec.UnsetType = msgspec.UNSET


def admin_projects_router(context: AppContext) -> APIRouter:
    router = native_router("projects and keys")
    documented = context.documented
    shown = documented.response(AdminProjectOut, "The project.", PROJECT_EXAMPLE)

    @router.post(
        "/v1/admin/projects",
        status_code=201,
        summary="Create a project",
        description="A new project has no keys.",
        responses={201: shown},
    )
    async def create_project(_: Installation, body: ProjectBody) -> Response:
        made = await context.projects.create(body.name, body.metadata, body.id or "")
        return _response(made, status=201)

    @router.get(
        "/v1/admin/projects",
        summary="List projects",
        description="Oldest first; all projects unless `limit` is given. With the key of a project,"
        " the list contains only this project.",
        responses={
            200: documented.response(AdminProjectList, "The projects.", {"data": [PROJECT_EXAMPLE]})
        },
    )
    async def list_projects(
        admin: Admin, parameters: Annotated[ListParameters, Query()]
    ) -> Response:
        page, meta = page_of(context.projects.visible_to(admin), parameters)
        return json_response(AdminProjectList([_shown(each) for each in page], meta))

    @router.get(
        "/v1/admin/projects/{project_id}",
        summary="Get a project",
        description="In the state `deleting`, `rows_left` has the number of rows in each table."
        " It is omitted while the store does not respond.",
        responses={
            200: documented.response(AdminProjectStatus, "The project.", PROJECT_STATUS_EXAMPLE)
        },
    )
    async def get_project(admin: Admin, project_id: ProjectPath) -> Response:
        project = context.projects.find(admin, project_id)
        left: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
        if project.state == "deleting":
            with suppress(StoreError):  # the state is known without the store
                left = await rows_left(context.store, project.id)
        return _response(project, left=left)

    @router.patch(
        "/v1/admin/projects/{project_id}",
        summary="Change a project",
        description="With `If-Match: <ETag of an earlier response>`, the change is made only if the"
        " project has not changed since; otherwise the response is 409.",
        responses={200: shown},
    )
    async def change_project(
        admin: Installation, project_id: ProjectPath, body: ProjectChangeBody, if_match: IfMatch
    ) -> Response:
        context.projects.find(admin, project_id)
        expected = await expected_version(context.control, Project, project_id, if_match)
        changed = await context.projects.change(
            project_id, name=body.name, metadata=body.metadata, expected=expected
        )
        return _response(changed)

    @router.delete(
        "/v1/admin/projects/{project_id}",
        status_code=202,
        summary="Delete a project",
        description="Its keys are refused immediately. Its rows are deleted in the background; the"
        " `state` shows when this is complete. Its id cannot be used again.",
        responses={
            202: documented.response(
                AdminProjectOut, "It is being deleted.", PROJECT_DELETING_EXAMPLE
            )
        },
    )
    async def delete_project(
        admin: Installation, project_id: ProjectPath, if_match: IfMatch
    ) -> Response:
        context.projects.find(admin, project_id)
        expected = await expected_version(context.control, Project, project_id, if_match)
        deleted = await context.projects.delete(project_id, expected=expected)
        return _response(deleted, status=202)

    return router


def _response(
    project: Project,
    *,
    status: int = 200,
    left: dict[str, int] | msgspec.UnsetType = msgspec.UNSET,
) -> Response:
    shown = msgspec.structs.asdict(_shown(project))
    response = json_response(AdminProjectStatus(**shown, rows_left=left), status=status)
    with_etag(response, project)
    return response


def _shown(project: Project) -> AdminProjectOut:
    since_us, at_us = project.deleting_since_us, project.deleted_at_us
    return AdminProjectOut(
        id=project.id,
        name=project.name,
        metadata=metadata_of(project),
        state=project.state,
        created_at=iso(project.created_us),
        deleting_since=None if since_us is None else iso(since_us),
        deleted_at=None if at_us is None else iso(at_us),
    )
