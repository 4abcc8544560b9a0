"""Serve ``/api/public/health`` and ``/api/public/ready``.

They require no credential. Only the installation's admin receives details, because these depend on
the data of all projects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from producers.errors import UnauthorizedError
from query_api.context import AppContext, authenticated
from query_api.errors import QueryApiError
from query_api.health.readiness import NOT_OK, OK, Readiness, newest_start_us
from query_api.langfuse.parameters import LangfuseParameters
from query_api.openapi.langfuse_examples import (
    HEALTH_EXAMPLE,
    NOT_READY_EXAMPLE,
    READY_EXAMPLE,
    UNHEALTHY_EXAMPLE,
)
from query_api.responses import json_response
from query_api.store.queries.observations import FindObservations
from query_api.store.queries.traces import FindTraces
from query_api.times import SECOND_US
from tracemill.clock import now_us

RECENT_US: Final = 180 * SECOND_US
"""Maximum age of the newest event for ``failIfNoRecentEvents``."""


class _Installation(Enum):
    OWNER = "installation"


INSTALLATION: Final = _Installation.OWNER
Owner = str | Literal[_Installation.OWNER] | None
"""Who a credential belongs to; None: there is no valid one."""


class _Found(msgspec.Struct):
    id: str


class Health(msgspec.Struct):
    status: str
    version: str


class Ready(msgspec.Struct):
    status: str
    checks: dict[str, str]
    missing: list[str]


class HealthParameters(LangfuseParameters):
    fail_if_no_recent_events: bool = False
    fail_if_database_unavailable: bool = False


def health_router(context: AppContext, readiness: Readiness, version: str) -> APIRouter:
    router = APIRouter(tags=["health"])
    documented = context.documented

    @router.get(
        "/api/public/health",
        summary="Check whether the process is alive",
        responses={
            200: documented.response(Health, "The process is alive.", HEALTH_EXAMPLE),
            503: documented.response(
                Health, "A condition of the parameters is not met.", UNHEALTHY_EXAMPLE
            ),
        },
    )
    async def health(
        request: Request, parameters: Annotated[HealthParameters, Query()]
    ) -> Response:
        """Return 200 while the process runs.

        `failIfDatabaseUnavailable`: return 503 if the store does not respond.
        `failIfNoRecentEvents`: return 503 if no observation or trace started in the last three
        minutes. With the key of a project, only this project counts; otherwise all do.
        """
        fault = await _fault(context, parameters, _owner_of(request))
        return json_response(Health(fault or "OK", version), status=503 if fault else 200)

    @router.get(
        "/api/public/ready",
        summary="Check whether events sent now would be stored and readable",
        responses={
            200: documented.response(Ready, "All checks succeeded.", READY_EXAMPLE),
            503: documented.response(
                Ready, "`missing` has the names of the failed checks.", NOT_READY_EXAMPLE
            ),
        },
    )
    async def ready(request: Request) -> Response:
        """Check all dependencies. `checks` has the reasons if the request has the admin key."""
        found = await readiness.check()
        missing = [name for name, state in found.items() if state != OK]
        checks = dict(found) if _owner_of(request) is INSTALLATION else _names_only(found)
        if not missing:
            return json_response(Ready("OK", checks, missing))
        response = json_response(Ready("NOT_READY", checks, missing), status=503)
        response.headers["Retry-After"] = str(context.settings.retry_after_s)
        return response

    return router


async def _fault(context: AppContext, parameters: HealthParameters, owner: Owner) -> str:
    """Return the condition of the parameters that is not met; empty if all are."""
    if not parameters.fail_if_no_recent_events and not parameters.fail_if_database_unavailable:
        return ""
    try:
        async with asyncio.timeout(context.settings.readiness_timeout_s):
            is_recent = await _has_recent_events(context, owner)
    except (QueryApiError, TimeoutError):
        return "Database not available"
    if parameters.fail_if_no_recent_events and not is_recent:
        return "No traces or observations within the last 3 minutes"
    return ""


async def _has_recent_events(context: AppContext, owner: Owner) -> bool:
    """Return whether a project, or without one any project, has recent events."""
    since_us = now_us() - RECENT_US
    if isinstance(owner, str):
        started = await asyncio.gather(
            context.reader.rows(FindTraces(owner, limit=1, since_us=since_us), _Found),
            context.reader.rows(
                FindObservations(owner, limit=1, since_us=since_us, merged=False), _Found
            ),
        )
        return any(started)
    newest_us = await context.reader.bounded(
        "newest_start", lambda bounds: newest_start_us(context.store, bounds)
    )
    return newest_us >= since_us


def _owner_of(request: Request) -> Owner:
    """Return the project or installation of the credential; None if there is no valid one."""
    try:
        principal = authenticated(request)
    except UnauthorizedError:
        return None
    return INSTALLATION if principal.owner is None else principal.owner


def _names_only(found: Mapping[str, str]) -> dict[str, str]:
    return {name: OK if state == OK else NOT_OK for name, state in found.items()}
