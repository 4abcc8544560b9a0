"""Create requests to deliver alerts again, or to send a test, which a job carries out."""

from __future__ import annotations

from typing import Any

import msgspec

from producers.control.kinds.channel import Channel
from producers.control.kinds.delivery_request import REQUEST_MEMORY_H, DeliveryRequest
from producers.control.kinds.webhook import Webhook
from query_api.context import AppContext
from query_api.errors import ConflictError
from query_api.v1.control_requests import create_request, request_id
from tracemill.clock import now_us


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
    request = DeliveryRequest(
        id=request_id("drq", idempotency_key, target.project_id, target.id),
        project_id=target.project_id,
        target_kind="webhook" if isinstance(target, Webhook) else "channel",
        target_id=target.id,
        created_us=now_us(),
        **fields,
    )
    return await create_request(context, request, memory_h=REQUEST_MEMORY_H)


async def request_test(
    context: AppContext, target: Webhook | Channel, idempotency_key: str | None = None
) -> DeliveryRequested:
    """Request a test of a receiver. Raises like ``request_delivery``."""
    request = await request_delivery(context, target, idempotency_key, action="test")
    return DeliveryRequested(request_id=request.id, delivery_id=f"{request.id}~{target.id}")
