"""``/api/public/health`` and ``/api/public/ready``: alive, and able to do the work. No credential needed, and nothing told to strangers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from producers.errors import ForbiddenError, UnauthorizedError
from query_api.answers import answer
from query_api.context import AppContext, project_of
from query_api.errors import QueryApiError
from query_api.health.readiness import NOT_OK, OK, Readiness, newest_start_us
from query_api.langfuse.parameters import LangfuseParameters
from query_api.openapi.langfuse_examples import (
    HEALTH_EXAMPLE,
    NOT_READY_EXAMPLE,
    READY_EXAMPLE,
    UNHEALTHY_EXAMPLE,
)
from query_api.times import SECOND_US, now_us

RECENT_US: Final = 180 * SECOND_US
"""How old the newest event may be where a caller wants recent ones."""


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
        summary="Is this process alive?",
        responses={
            200: documented.as_answer(Health, "It is.", HEALTH_EXAMPLE),
            503: documented.as_answer(
                Health, "It is, but not what a parameter asks for.", UNHEALTHY_EXAMPLE
            ),
        },
    )
    async def health(parameters: Annotated[HealthParameters, Query()]) -> Response:
        """`failIfDatabaseUnavailable`: 503 unless the store answers. `failIfNoRecentEvents`: 503 unless an observation or trace began in the last three minutes."""
        fault = await _fault(context, parameters)
        return answer(Health(fault or "OK", version), status=503 if fault else 200)

    @router.get(
        "/api/public/ready",
        summary="Would an event sent now be stored and read?",
        responses={
            200: documented.as_answer(Ready, "It would.", READY_EXAMPLE),
            503: documented.as_answer(Ready, "`missing` says where not.", NOT_READY_EXAMPLE),
        },
    )
    async def ready(request: Request) -> Response:
        """With a project's key, `checks` says why not; strangers are told names only."""
        found = await readiness.look()
        missing = [name for name, state in found.items() if state != OK]
        checks = dict(found) if await _is_known(request) else _names_only(found)
        if not missing:
            return answer(Ready("OK", checks, missing))
        response = answer(Ready("NOT_READY", checks, missing), status=503)
        response.headers["Retry-After"] = str(context.settings.retry_after_s)
        return response

    return router


async def _fault(context: AppContext, parameters: HealthParameters) -> str:
    """What is not as the parameters ask for; empty when all is."""
    if not parameters.fail_if_no_recent_events and not parameters.fail_if_database_unavailable:
        return ""
    try:
        async with asyncio.timeout(context.settings.readiness_timeout_s):
            newest_us = await context.reader.bounded(
                "newest_start", lambda bounds: newest_start_us(context.store, bounds)
            )
    except (QueryApiError, TimeoutError):
        return "Database not available"
    if parameters.fail_if_no_recent_events and newest_us < now_us() - RECENT_US:
        return "No traces or observations within the last 3 minutes"
    return ""


async def _is_known(request: Request) -> bool:
    try:
        await project_of(request)
    except (UnauthorizedError, ForbiddenError):
        return False
    return True


def _names_only(found: Mapping[str, str]) -> dict[str, str]:
    return {name: OK if state == OK else NOT_OK for name, state in found.items()}
