"""Create requests to deliver alerts again, or to send a test, which the streams worker carries out.

A request is a control record, so that it survives crashes, and its deliveries are made once.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated, Any, Final

import msgspec
from fastapi import Header

from producers.control.kinds.channel import Channel
from producers.control.kinds.delivery_request import REQUEST_MEMORY_H, DeliveryRequest
from producers.control.kinds.webhook import Webhook
from producers.errors import ControlConflictError
from query_api.context import AppContext
from query_api.errors import ConflictError
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


class DeliveryRequested(msgspec.Struct, kw_only=True):
    """A request that was accepted; it is carried out even if the server crashes."""

    request_id: str
    delivery_id: str | None
    """The delivery in `/v1/deliveries`; null if the request can create several."""


def _require_enabled(target: Webhook | Channel) -> None:
    """Refuse a request about a receiver that is disabled.

    Raises:
        ConflictError: it is.
    """
    if target.disabled:
        raise ConflictError(f"the {target.kind} is disabled: enable it with PATCH first")


async def request_delivery(
    context: AppContext,
    target: Webhook | Channel,
    idempotency_key: str | None = None,
    **fields: Any,
) -> DeliveryRequest:
    """Create a request about a receiver, with further fields of the record.

    Raises:
        ConflictError: the receiver is disabled, or the project has too many requests.
        ControlError: the control log does not respond.
    """
    _require_enabled(target)
    project_id = target.project_id
    request = DeliveryRequest(
        id=_id_of(project_id, target.id, idempotency_key),
        project_id=project_id,
        target_kind="webhook" if isinstance(target, Webhook) else "channel",
        target_id=target.id,
        created_us=now_us(),
        **fields,
    )
    kept = context.control.view.in_project(DeliveryRequest, project_id)
    if request.id in kept:
        return kept[request.id]
    await _remove_old(context, project_id)
    try:
        with quota_of(context, DeliveryRequest).taken_by(request, kept):
            await context.control.create(request)
    except ControlConflictError:  # the same key was used at the same time
        found = context.control.view[DeliveryRequest].get(request.id)
        if found is None:
            raise
        return found
    return request


async def request_test(
    context: AppContext, target: Webhook | Channel, idempotency_key: str | None = None
) -> DeliveryRequested:
    """Request a test of a receiver. Raises like ``request_delivery``."""
    request = await request_delivery(context, target, idempotency_key, action="test")
    return DeliveryRequested(request_id=request.id, delivery_id=f"{request.id}~{target.id}")


async def _remove_old(context: AppContext, project_id: str) -> None:
    """Delete the requests whose deliveries have ended long ago."""
    before_us = now_us() - REQUEST_MEMORY_H * _HOUR_US
    for each in list(context.control.view.in_project(DeliveryRequest, project_id).values()):
        if each.created_us < before_us:
            await context.control.delete(each.kind, each.id)


def _id_of(project_id: str, target_id: str, idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return f"drq_{secrets.token_hex(_ID_CHARS // 2)}"
    identity = msgspec.json.encode((project_id, target_id, idempotency_key))
    return f"drq_{hashlib.sha256(identity).hexdigest()[:_ID_CHARS]}"
