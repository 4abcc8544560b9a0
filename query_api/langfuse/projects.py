"""Serve ``/api/public/projects``, with which Langfuse SDKs check their credential."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from producers.control.kinds.project import Project
from query_api.answers import answer
from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.openapi.langfuse_examples import PROJECTS_EXAMPLE


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


def projects_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["projects"])

    @router.get(
        "/api/public/projects",
        summary="The project of the credential",
        responses={
            200: context.documented.as_answer(ProjectList, "One project.", PROJECTS_EXAMPLE)
        },
    )
    async def list_projects(project_id: ProjectId) -> Response:
        project = context.control.view[Project].get(project_id)
        if project is None:
            raise NotFoundError("the project of this credential was deleted")
        # There are no organizations: each project is its own.
        own = ProjectOut(project.id, project.name, Organization(project.id, project.name), {})
        return answer(ProjectList([own]))

    return router
