"""Serve ``/v1/dashboards``: charts of the project on pages that the project shares."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter

from producers.documents.kinds.dashboard import Dashboard
from query_api.context import AppContext
from query_api.dashboards.bodies import DashboardBody, body_values
from query_api.dashboards.checks import check
from query_api.documents.document import Document
from query_api.openapi.dashboard_examples import DASHBOARD_EXAMPLE
from query_api.times import iso
from query_api.v1.document_crud import (
    DocumentResource,
    document_router,
    replacing,
)
from query_api.v1.etags import Precondition
from query_api.v1.parameters import KeysetParameters


class VariableOut(msgspec.Struct, kw_only=True):
    name: str
    dimension: str
    values: list[str]


class TileOut(msgspec.Struct, kw_only=True):
    title: str
    chart: str
    query: dict[str, Any]
    width: int
    height: int


class DashboardOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    description: str
    range: str
    variables: list[VariableOut]
    tiles: list[TileOut]
    author: str
    """Public key of who created it."""
    created_at: str
    updated_at: str


class DashboardParameters(KeysetParameters):
    """Paging, newest dashboards first."""


async def create_dashboard(
    context: AppContext, project_id: str, body: DashboardBody, author: str
) -> Document[Dashboard]:
    """Create a dashboard.

    Raises:
        BadRequestError, TooCostlyError: a chart cannot be answered.
        ConflictError: the project has too many dashboards.
        UnavailableError: it was not checked or written in time.
    """
    await check(context, project_id, body)
    return await context.documents.create(project_id, body.dashboard(author))


async def replace_dashboard(
    context: AppContext,
    project_id: str,
    id_: str,
    body: DashboardBody,
    precondition: Precondition | None = None,
) -> Document[Dashboard]:
    """Replace a dashboard; its author remains.

    Raises:
        NotFoundError: there is no such dashboard.
        DocumentVersionError: it does not meet the precondition.
        BadRequestError, TooCostlyError, UnavailableError: as ``create_dashboard``.
    """
    await check(context, project_id, body)
    change = replacing(Dashboard, id_, precondition, lambda held: body.dashboard(held.author))
    return await context.documents.change(Dashboard, project_id, id_, change)


def _shown(dashboard: Document[Dashboard]) -> DashboardOut:
    return DashboardOut(
        id=dashboard.id,
        **body_values(dashboard.body),
        author=dashboard.body.author,
        created_at=iso(dashboard.created_us),
        updated_at=iso(dashboard.updated_us),
    )


RESOURCE: Final[DocumentResource[Any, Any, Any]] = DocumentResource(
    kind=Dashboard,
    path="/v1/dashboards",
    noun="dashboard",
    body=DashboardBody,
    create=create_dashboard,
    replace=replace_dashboard,
    shown=_shown,
    shown_type=DashboardOut,
    example=DASHBOARD_EXAMPLE,
    parameters=DashboardParameters,
    about_create="Every chart is checked as `POST /v1/query` checks its query.",
    about_replace="Fields that are not given get their defaults.",
)


def dashboards_router(context: AppContext) -> APIRouter:
    return document_router(context, RESOURCE)
