"""Create control records that request something of the streams worker, each once.

A request is a control record, so that it survives crashes, and what it asks for is done once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import Header

from producers.control.record import ProjectRecord
from producers.errors import ControlConflictError
from query_api.context import AppContext
from query_api.v1.records import quota_of
from tracemill.clock import now_us

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repetition of the request with the same key delivers nothing again.",
    ),
]
_HOUR_US: Final = 3_600_000_000
_ID_CHARS: Final = 24


def request_id(prefix: str, idempotency_key: str | None, *identity: Any) -> str:
    """Return a random id, or that of all requests with the same key and identity."""
    if idempotency_key is None:
        return f"{prefix}_{secrets.token_hex(_ID_CHARS // 2)}"
    encoded = msgspec.json.encode((*identity, idempotency_key))
    return f"{prefix}_{hashlib.sha256(encoded).hexdigest()[:_ID_CHARS]}"


RequestT = TypeVar("RequestT", bound=ProjectRecord)


async def create_request(
    context: AppContext,
    request: RequestT,
    *,
    memory_h: int,
    check: Callable[[], Awaitable[None]] | None = None,
) -> RequestT:
    """Create a request, unless one with its id exists; return the one that is kept.

    Args:
        context: the dependencies of the routes.
        request: the record.
        memory_h: hours after which the project's older requests are deleted.
        check: raises if a request that does not exist yet must not be created.

    Raises:
        ConflictError: the project has too many requests.
        ControlError: the control log does not respond.
    """
    kind, project_id = type(request), request.project_id
    kept = context.control.view.in_project(kind, project_id)
    if request.id in kept:
        return kept[request.id]
    if check is not None:
        await check()
    await _remove_old(context, kind, project_id, memory_h)
    try:
        with quota_of(context, kind).taken_by(request, kept):
            await context.control.create(request)
    except ControlConflictError:  # the same key was used at the same time
        found = context.control.view[kind].get(request.id)
        if found is None:
            raise
        return found
    return request


async def _remove_old(
    context: AppContext, kind: type[RequestT], project_id: str, memory_h: int
) -> None:
    before_us = now_us() - memory_h * _HOUR_US
    for each in list(context.control.view.in_project(kind, project_id).values()):
        created_us, _ = each.position
        if created_us < before_us:
            await context.control.delete(each.kind, each.id)
