"""Find the scope that each route requires."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from producers.control.scopes import Scope
from query_api.context import admin_of, installation_of, project_of, project_scope, reader_of


def scopes_of(app: FastAPI) -> Iterator[tuple[APIRoute, str, Scope | None]]:
    """Yield each route, each of its methods, and the scope that it requires; None if public."""
    for each in iter_route_contexts(app.routes):
        route = each.original_route
        if isinstance(route, APIRoute):
            for method in sorted(route.methods or ()):
                yield route, method, _scope_of(route, method)


def _scope_of(route: APIRoute, method: str) -> Scope | None:
    calls = {each.call for each in _dependencies(route.dependant)}
    if not calls.isdisjoint((admin_of, installation_of)):
        return "admin"
    return None if calls.isdisjoint((project_of, reader_of)) else project_scope(method)


def _dependencies(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _dependencies(each)
