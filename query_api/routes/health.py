"""``/api/public/health`` and ``/api/public/ready``: alive, and able to do the work. No credential needed."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from query_api.answers import answer
from query_api.examples import HEALTH_EXAMPLE, NOT_READY_EXAMPLE, READY_EXAMPLE
from query_api.readiness import OK, Readiness
from query_api.room import Room


class Health(msgspec.Struct):
    status: str
    version: str


class Ready(msgspec.Struct):
    status: str
    checks: dict[str, str]
    missing: list[str]


def health_router(room: Room, readiness: Readiness, version: str) -> APIRouter:
    router = APIRouter(tags=["health"])
    documented = room.documented

    @router.get(
        "/api/public/health",
        summary="Is this process alive?",
        responses={200: documented.as_answer(Health, "It is.", HEALTH_EXAMPLE)},
    )
    async def health() -> Response:
        return answer(Health("OK", version))

    @router.get(
        "/api/public/ready",
        summary="Would an event sent now be stored and read?",
        responses={
            200: documented.as_answer(Ready, "It would.", READY_EXAMPLE),
            503: documented.as_answer(Ready, "`missing` says why not.", NOT_READY_EXAMPLE),
        },
    )
    async def ready() -> Response:
        checks = dict(await readiness.look())
        missing = [name for name, found in checks.items() if found != OK]
        if not missing:
            return answer(Ready("OK", checks, missing))
        response = answer(Ready("NOT_READY", checks, missing), status=503)
        response.headers["Retry-After"] = str(room.settings.retry_after_s)
        return response

    return router
