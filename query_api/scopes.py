"""Find the scopes of which each route requires one."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from producers.control.scopes import Scope
from query_api.context import (
    DECIDER_SCOPES,
    METRICS_SCOPES,
    UPLOADER_SCOPES,
    admin_of,
    decider_of,
    installation_of,
    metrics_reader_of,
    project_admin_of,
    project_of,
    project_scope,
    reader_of,
    reading_project_of,
    uploader_of,
)


def scopes_of(app: FastAPI) -> Iterator[tuple[APIRoute, str, tuple[Scope, ...]]]:
    """Yield each route, each of its methods, and the scopes of which it requires one.

    Public routes have none.
    """
    for each in iter_route_contexts(app.routes):
        route = each.original_route
        if isinstance(route, APIRoute):
            for method in sorted(route.methods or ()):
                yield route, method, _scopes_of(route, method)


def _scopes_of(route: APIRoute, method: str) -> tuple[Scope, ...]:
    calls = {each.call for each in _dependencies(route.dependant)}
    if not calls.isdisjoint((admin_of, installation_of, project_admin_of)):
        return ("admin",)
    if decider_of in calls:
        return DECIDER_SCOPES
    if uploader_of in calls:
        return UPLOADER_SCOPES
    if metrics_reader_of in calls:
        return METRICS_SCOPES
    if reading_project_of in calls:
        return ("read",)
    return () if calls.isdisjoint((project_of, reader_of)) else (project_scope(method),)


def _dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _dependencies(each)
