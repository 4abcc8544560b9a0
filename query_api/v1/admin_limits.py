"""Serve ``/v1/admin/projects/{project_id}/limits``: the rate limits of a project."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter
from pydantic import AfterValidator, ConfigDict, Field
from starlette.responses import Response

from producers.control.kinds.limits import Amount, BurstSeconds, Count, Limits
from producers.errors import ControlConflictError
from producers.gateway.limits.effective import EffectiveLimits, effective_limits
from producers.usage.periods import QuotaPeriod
from query_api.body import Body
from query_api.context import Admin, AppContext, Installation
from query_api.openapi.admin_examples import LIMITS_EXAMPLE, LIMITS_REQUEST_EXAMPLE
from query_api.responses import json_response
from query_api.times import iso
from query_api.v1.admin_projects import ProjectPath
from query_api.v1.etags import IfMatch, expected_version, with_etag
from query_api.v1.parameters import native_router
from tracemill.clock import now_us

_LIMITS = "/v1/admin/projects/{project_id}/limits"


RATE_MIN: Final = 0.001
"""Minimum rate; a lower one would refuse a project for days."""


def _check_rate(rate: float) -> float:
    if 0 < rate < RATE_MIN:
        raise ValueError(f"must be 0 (no limit) or at least {RATE_MIN}")
    return rate


Rate = Annotated[Amount, Field(strict=True), AfterValidator(_check_rate)]


class LimitsBody(Body):
    """For each limit, null means the default of the installation, and 0 means no limit."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [LIMITS_REQUEST_EXAMPLE]}
    )

    events_per_s: Rate | None = None
    bytes_per_s: Rate | None = None
    burst_s: BurstSeconds | None = Field(
        None, description="Size of a burst after a pause, in seconds of the maximum rates."
    )
    quota_period: QuotaPeriod | None = Field(None, description="Period of the quotas, in UTC.")
    quota_events: Count | None = None
    quota_bytes: Count | None = None


class OwnLimitsOut(msgspec.Struct, kw_only=True):
    events_per_s: float | None
    bytes_per_s: float | None
    burst_s: float | None
    quota_period: QuotaPeriod | None
    quota_events: int | None
    quota_bytes: int | None


class LimitsInForceOut(msgspec.Struct, kw_only=True):
    events_per_s: float
    bytes_per_s: float
    burst_s: float
    quota_period: QuotaPeriod
    quota_events: int
    quota_bytes: int


class QuotaUseOut(msgspec.Struct, kw_only=True):
    events: int
    bytes: int
    period_ends_at: str


class LimitsOut(msgspec.Struct, kw_only=True):
    own: OwnLimitsOut
    """Limits that were set for the project; null means the default of the installation."""
    in_force: LimitsInForceOut
    """Limits that apply to all gateways together; 0 means no limit."""
    used: QuotaUseOut | None
    """Amounts that were sent in the current period; null if there is no quota."""


def admin_limits_router(context: AppContext) -> APIRouter:
    """Return the routes."""
    router = native_router("projects and keys")
    shown = context.documented.response(LimitsOut, "The limits.", LIMITS_EXAMPLE)

    @router.get(_LIMITS, summary="Get the limits of a project", responses={200: shown})
    async def get_limits(admin: Admin, project_id: ProjectPath) -> Response:
        context.projects.find(admin, project_id)
        return _response(context, project_id)

    @router.put(
        _LIMITS,
        summary="Set the limits of a project",
        description="They apply immediately. Omitted and null limits are the defaults of the"
        " installation; 0 means no limit. With `If-Match: <ETag of an earlier response>`, the"
        " request has an effect only if the limits have not changed since; otherwise: 409.",
        responses={200: shown},
    )
    async def set_limits(
        admin: Installation, project_id: ProjectPath, body: LimitsBody, if_match: IfMatch
    ) -> Response:
        project = context.projects.find(admin, project_id)
        if project.state != "active":
            raise ControlConflictError(f"project {project_id!r} is {project.state}")
        limits = Limits(
            id=project_id, project_id=project_id, created_us=now_us(), **body.model_dump()
        )
        expected = await expected_version(context.control, Limits, project_id, if_match)
        await context.control.put(limits, expected=expected)
        return _response(context, project_id)

    @router.delete(
        _LIMITS,
        status_code=204,
        summary="Delete the limits of a project",
        description="The defaults of the installation apply again. `If-Match` is as for `PUT`.",
    )
    async def delete_limits(
        admin: Installation, project_id: ProjectPath, if_match: IfMatch
    ) -> Response:
        context.projects.find(admin, project_id)
        expected = await expected_version(context.control, Limits, project_id, if_match)
        await context.control.delete(Limits.kind, project_id, expected=expected)
        return Response(status_code=204)

    return router


def _response(context: AppContext, project_id: str) -> Response:
    response = json_response(limits_of(context, project_id))
    with_etag(response, context.control.view[Limits].get(project_id))
    return response


def limits_of(context: AppContext, project_id: str) -> LimitsOut:
    """Return the limits of a project, and what was used of its quotas."""
    own = context.control.view[Limits].get(project_id)
    in_force = effective_limits(own, context.limits)
    names = OwnLimitsOut.__struct_fields__
    return LimitsOut(
        own=OwnLimitsOut(**{name: getattr(own, name, None) for name in names}),
        in_force=LimitsInForceOut(**in_force._asdict()),
        used=_used(context, project_id, in_force) if in_force.has_quota else None,
    )


def _used(context: AppContext, project_id: str, limits: EffectiveLimits) -> QuotaUseOut:
    used = context.usage.used(project_id, limits.quota_period)
    ends_s = context.usage.today.end_of(limits.quota_period)
    return QuotaUseOut(
        events=used.events, bytes=used.bytes, period_ends_at=iso(int(ends_s * 1_000_000))
    )
