"""Serve ``/v1/silences``: times in which matching alerts are recorded, but not delivered."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path
from starlette.responses import Response

from producers.control.kinds.silence import Recurring, Silence
from query_api.alerting.silence_bodies import SilenceBody, SilenceChange, given_fields
from query_api.alerting.silence_warnings import silence_warnings
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, NotFoundError
from query_api.openapi.alert_examples import SILENCE_EXAMPLE
from query_api.responses import json_response
from query_api.times import SECOND_US, iso
from query_api.v1.crud import RECORD_ID_MAX, Change, Create, Resource
from query_api.v1.records import find
from tracemill.clock import now_us

SilenceId = Annotated[str, Path(max_length=RECORD_ID_MAX, examples=[SILENCE_EXAMPLE["id"]])]


class MatcherOut(msgspec.Struct):
    name: str
    op: str
    value: str


class RecurringOut(msgspec.Struct, kw_only=True):
    days: list[str]
    start: str
    end: str
    time_zone: str


class SilenceOut(msgspec.Struct, kw_only=True):
    id: str
    state: str
    """`pending`, `active` or `expired`. With `recurring`, `active` includes the other hours."""
    matchers: list[MatcherOut]
    author: str
    reason: str
    starts_at: str
    ends_at: str | None
    recurring: RecurringOut | None
    created_at: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Matchers that match no label of any rule or recent alert; only in responses to `POST`."""


def _create(_context: AppContext) -> Create[SilenceBody, Silence]:
    async def create(project_id: str, body: SilenceBody) -> Silence:
        at_us = now_us()
        starts_us = at_us if body.starts_at is None else body.starts_at
        return Silence(
            id=f"sil_{secrets.token_hex(12)}",
            project_id=project_id,
            matchers=tuple(each.as_record() for each in body.matchers),
            author=body.author,
            reason=body.reason,
            starts_us=starts_us,
            ends_us=_ends_us(body, starts_us, at_us),
            recurring=None if body.recurring is None else body.recurring.as_record(),
            created_us=at_us,
        )

    return create


def _ends_us(body: SilenceBody, starts_us: int, at_us: int) -> int | None:
    if body.ends_at is not None and body.duration:
        raise BadRequestError("duration: cannot be combined with ends_at", field="duration")
    if body.ends_at is None and not body.duration:
        if body.recurring is not None:
            return None
        raise BadRequestError(
            "ends_at: required, unless duration or recurring is given", field="ends_at"
        )
    ends_us = starts_us + body.duration * SECOND_US if body.ends_at is None else body.ends_at
    if ends_us <= max(starts_us, at_us):
        field = "duration" if body.ends_at is None else "ends_at"
        raise BadRequestError(f"{field}: must be after now and after starts_at", field=field)
    return ends_us


def _changed(silence: Silence, change: SilenceChange) -> Silence:
    fields = given_fields(change)
    if fields.get("ends_us", silence.starts_us + 1) <= silence.starts_us:
        raise BadRequestError("ends_at: must be after starts_at", field="ends_at")
    return silence.model_copy(update=fields)


def _replaced(silence: Silence, body: SilenceBody) -> Silence:
    starts_us = silence.starts_us if body.starts_at is None else body.starts_at
    fields = {
        "matchers": tuple(each.as_record() for each in body.matchers),
        "author": body.author,
        "reason": body.reason,
        "starts_us": starts_us,
        "ends_us": _ends_us(body, starts_us, now_us()),
        "recurring": None if body.recurring is None else body.recurring.as_record(),
    }
    return silence.model_copy(update=fields)


def _expired(silence: Silence, at_us: int) -> Silence:
    """Return a silence that has ended; one that has already ended is unchanged."""
    if silence.ends_us is not None and silence.ends_us <= at_us:
        return silence
    return silence.model_copy(update={"ends_us": at_us, "starts_us": min(silence.starts_us, at_us)})


def _add_expire(router: APIRouter, context: AppContext) -> None:
    @router.post(
        "/v1/silences/{silence_id}/expire",
        summary="Expire a silence",
        responses={200: context.documented.response(SilenceOut, "The silence.", SILENCE_EXAMPLE)},
    )
    async def expire(project_id: ProjectId, silence_id: SilenceId) -> Response:
        """End a silence now."""
        return json_response(shown_silence(await expire_silence(context, project_id, silence_id)))


async def expire_silence(context: AppContext, project_id: str, silence_id: str) -> Silence:
    """End a silence of a project now.

    Raises:
        NotFoundError: the project has no such silence.
        ControlError: the control log does not respond.
    """
    held = find(context, Silence, project_id, silence_id)
    at_us = now_us()
    written = await context.control.update(Silence, held.id, lambda each: _expired(each, at_us))
    if written is None:
        raise NotFoundError(f"no silence {silence_id!r}")
    return written


def shown_silence(silence: Silence) -> SilenceOut:
    """Return a silence as responses show it."""
    at_us = now_us()
    state = "active"
    if silence.ends_us is not None and silence.ends_us <= at_us:
        state = "expired"
    elif silence.starts_us > at_us:
        state = "pending"
    return SilenceOut(
        id=silence.id,
        state=state,
        matchers=[MatcherOut(each.name, each.op, each.value) for each in silence.matchers],
        author=silence.author,
        reason=silence.reason,
        starts_at=iso(silence.starts_us),
        ends_at=None if silence.ends_us is None else iso(silence.ends_us),
        recurring=None if silence.recurring is None else _hours(silence.recurring),
        created_at=iso(silence.created_us),
    )


def _hours(recurring: Recurring) -> RecurringOut:
    return RecurringOut(
        days=list(recurring.days),
        start=_time(recurring.start_minute),
        end=_time(recurring.end_minute),
        time_zone=recurring.time_zone,
    )


def _time(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


RESOURCE: Final[Resource[Any, Any]] = Resource(
    record=Silence,
    path="/v1/silences",
    body=SilenceBody,
    create=_create,
    shown=shown_silence,
    shown_type=SilenceOut,
    example=SILENCE_EXAMPLE,
    change=Change(SilenceChange, _changed),
    replace=_replaced,
    warn=silence_warnings,
    about_create="Matching alerts are evaluated and recorded, but not delivered. The"
    " `alert.resolved` of an episode is delivered nevertheless if its beginning was.",
    about_created="The new silence.",
    routes=(_add_expire,),
)
