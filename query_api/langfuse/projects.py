"""Serve ``/api/public/projects``, by which Langfuse SDKs check their credential."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.project import Project
from query_api.body import Body, JsonObject
from query_api.context import AppContext, Installation, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.langfuse_admin_examples import (
    PROJECT_DELETION_EXAMPLE,
    PROJECT_EXAMPLE,
    PROJECT_REQUEST_EXAMPLE,
)
from query_api.openapi.langfuse_examples import PROJECTS_EXAMPLE
from query_api.responses import json_response
from query_api.tenants.projects import metadata_of

ID_MAX = 128
ProjectPath = Annotated[
    str, Path(alias="projectId", max_length=ID_MAX, examples=[PROJECT_EXAMPLE["id"]])
]


_ONE = "/api/public/projects/{projectId}"


class LangfuseProjectBody(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [PROJECT_REQUEST_EXAMPLE]})

    name: str = Field(min_length=1, max_length=255)
    metadata: JsonObject | None = None
    retention: int | None = Field(None, description="Must be 0: rows are not deleted by age.")


class Organization(msgspec.Struct):
    id: str
    name: str


class ProjectOut(msgspec.Struct, rename="camel"):
    id: str
    name: str
    organization: Organization
    metadata: dict[str, Any]
    retention_days: int | None = None


class ProjectList(msgspec.Struct):
    data: list[ProjectOut]


class ProjectDeletion(msgspec.Struct):
    success: bool
    message: str


def projects_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["projects"])
    documented = context.documented
    shown = documented.response(ProjectOut, "The project.", PROJECT_EXAMPLE)

    @router.get(
        "/api/public/projects",
        summary="The project of the credential",
        responses={200: documented.response(ProjectList, "One project.", PROJECTS_EXAMPLE)},
    )
    async def list_projects(project_id: ProjectId) -> Response:
        project = context.control.view[Project].get(project_id)
        if project is None:
            raise NotFoundError("the project of this credential was deleted")
        return json_response(ProjectList([_shown(project)]))

    @router.post(
        "/api/public/projects",
        status_code=201,
        summary="Create a project",
        responses={201: shown},
    )
    async def create_project(_: Installation, body: LangfuseProjectBody) -> Response:
        _refuse_retention(body)
        made = await context.projects.create(body.name, body.metadata or {})
        return json_response(_shown(made), status=201)

    @router.put(_ONE, summary="Change a project", responses={200: shown})
    async def change_project(
        _: Installation, project_id: ProjectPath, body: LangfuseProjectBody
    ) -> Response:
        _refuse_retention(body)
        changed = await context.projects.change(project_id, name=body.name, metadata=body.metadata)
        return json_response(_shown(changed))

    @router.delete(
        _ONE,
        status_code=202,
        summary="Delete a project",
        description="Its keys are refused immediately, and its rows are deleted in the background.",
        responses={
            202: documented.response(
                ProjectDeletion, "It is being deleted.", PROJECT_DELETION_EXAMPLE
            )
        },
    )
    async def delete_project(_: Installation, project_id: ProjectPath) -> Response:
        await context.projects.delete(project_id)
        return json_response(ProjectDeletion(True, "the project is being deleted"), status=202)

    return router


def _refuse_retention(body: LangfuseProjectBody) -> None:
    if body.retention:
        raise BadRequestError(
            "retention: must be 0, rows of one project cannot be deleted by age",
            field="retention",
        )


def _shown(project: Project) -> ProjectOut:
    # There are no organizations, so each project has its own.
    own = Organization(project.id, project.name)
    return ProjectOut(project.id, project.name, own, metadata_of(project))
