"""Serve ``/v1/deliveries``: the log of what was delivered to webhooks and channels."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from clickhouse.delivery_rows import DeliveryAttemptRow
from producers.control.kinds.webhook import Webhook
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError, ConflictError, NotFoundError
from query_api.openapi.delivery_examples import (
    DELIVERY_EXAMPLE,
    DELIVERY_LIST_EXAMPLE,
    REQUESTED_EXAMPLE,
)
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.queries.deliveries import FindAttempts, FindDeliveries
from query_api.times import iso
from query_api.v1.control_requests import IdempotencyKey
from query_api.v1.delivery_requests import (
    DeliveryRequested,
    request_delivery,
)
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router
from tracemill.clock import now_us

DeliveryId = Annotated[str, Path(max_length=512, examples=[DELIVERY_EXAMPLE["id"]])]
_HOUR_US: Final = 3_600_000_000


class AttemptOut(msgspec.Struct, kw_only=True, gc=False):
    attempt: int
    status: str
    """State of the delivery after the attempt."""
    status_code: int | None
    """HTTP status of the response; null: there was none."""
    latency_ms: float
    answer: str
    """The beginning of the response's body."""
    detail: str
    attempted_at: str


class DeliveryOut(msgspec.Struct, kw_only=True, gc=False):
    id: str
    webhook_id: str | None
    channel_id: str | None
    alert_ids: list[str]
    event: str
    status: str
    """`pending`, `delivered`, `exhausted` (a dead letter), `dropped` or `failed` (a test)."""
    attempts: int
    last_attempt: AttemptOut
    created_at: str
    next_attempt_at: str | None


class DeliveryWithAttempts(DeliveryOut, kw_only=True, gc=False):
    log: list[AttemptOut]
    """All attempts, oldest first."""


class DeliveryList(msgspec.Struct):
    data: list[DeliveryOut]
    meta: NativeMeta


class DeliveryParameters(KeysetParameters):
    webhook_id: Name | None = None
    channel_id: Name | None = None
    alert_id: Name | None = None
    status: Literal["pending", "delivered", "exhausted", "dropped", "failed"] | None = None


def deliveries_router(context: AppContext) -> APIRouter:
    router = native_router("deliveries")

    @router.get(
        "/v1/deliveries",
        summary="List deliveries",
        responses={
            200: context.documented.response(DeliveryList, "Newest first.", DELIVERY_LIST_EXAMPLE)
        },
    )
    async def list_deliveries(
        project_id: ProjectId, parameters: Annotated[DeliveryParameters, Query()]
    ) -> Response:
        """List deliveries that were attempted, with their last attempt."""
        page, meta = await read_deliveries(context, project_id, parameters)
        return json_response(DeliveryList(page, meta))

    @router.get(
        "/v1/deliveries/{delivery_id}",
        summary="Get a delivery",
        responses={
            200: context.documented.response(
                DeliveryWithAttempts, "The delivery with its attempts.", DELIVERY_EXAMPLE
            )
        },
    )
    async def get_delivery(project_id: ProjectId, delivery_id: DeliveryId) -> Response:
        return json_response(await read_delivery(context, project_id, delivery_id))

    @router.post(
        "/v1/deliveries/{delivery_id}/redeliver",
        status_code=202,
        summary="Repeat a delivery",
        responses={
            202: context.documented.response(
                DeliveryRequested, "It is delivered again.", REQUESTED_EXAMPLE
            )
        },
    )
    async def redeliver(
        project_id: ProjectId, delivery_id: DeliveryId, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Deliver an alert to its webhook again, with the same `webhook-id`."""
        answer = await repeat_delivery(context, project_id, delivery_id, idempotency_key)
        return json_response(answer, status=202)

    return router


async def read_deliveries(
    context: AppContext, project_id: str, parameters: DeliveryParameters
) -> tuple[list[DeliveryOut], NativeMeta]:
    """Read a page of deliveries, newest first.

    Raises:
        BadRequestError: a parameter is invalid.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    if parameters.webhook_id and parameters.channel_id:
        raise BadRequestError("channel_id: cannot be combined with webhook_id", field="channel_id")
    query = FindDeliveries(
        project_id,
        parameters.limit + 1,
        parameters.position(),
        parameters.webhook_id or parameters.channel_id or "",
        parameters.alert_id or "",
        parameters.status or "",
    )
    rows = await context.reader.rows(query, DeliveryAttemptRow)
    page, meta = keyset_page(rows, parameters.limit, lambda row: (row.created_us, row.delivery_id))
    return [DeliveryOut(**_fields(row)) for row in page], meta


async def read_delivery(
    context: AppContext, project_id: str, delivery_id: str
) -> DeliveryWithAttempts:
    """Read a delivery with its attempts.

    Raises:
        NotFoundError: the project has no such delivery, or it was not attempted yet.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    rows = await _attempts(context, project_id, delivery_id)
    return DeliveryWithAttempts(**_fields(rows[-1]), log=[_attempt(row) for row in rows])


async def repeat_delivery(
    context: AppContext, project_id: str, delivery_id: str, idempotency_key: str | None = None
) -> DeliveryRequested:
    """Request that an alert is delivered to its webhook again.

    Raises:
        NotFoundError: as ``read_delivery``.
        ConflictError: it cannot be repeated.
        ControlError: the control log does not respond.
    """
    row = (await _attempts(context, project_id, delivery_id))[-1]
    webhook = context.control.view.in_project(Webhook, project_id).get(row.target_id)
    if webhook is None:
        raise ConflictError("only deliveries to an existing webhook can be repeated")
    age_max_h = context.settings.redelivery_age_max_h
    if row.created_us < now_us() - age_max_h * _HOUR_US:
        raise ConflictError(f"the alert is older than {age_max_h} hours")
    (alert_id,) = row.alert_ids
    request = await request_delivery(
        context, webhook, idempotency_key, action="redeliver", alert_id=alert_id
    )
    repeated = f"{alert_id}~{webhook.id}~{request.id}"
    return DeliveryRequested(request_id=request.id, delivery_id=repeated)


async def _attempts(
    context: AppContext, project_id: str, delivery_id: str
) -> list[DeliveryAttemptRow]:
    """Return the attempts of a delivery, oldest first.

    Raises:
        NotFoundError: the project has no such delivery, or it was not attempted yet.
    """
    query = FindAttempts(project_id, delivery_id)
    rows = await context.reader.rows(query, DeliveryAttemptRow)
    if not rows:
        raise NotFoundError(f"no delivery {delivery_id!r}")
    return list(rows)


def _attempt(row: DeliveryAttemptRow) -> AttemptOut:
    return AttemptOut(
        attempt=row.attempt,
        status=row.status,
        status_code=row.status_code or None,
        latency_ms=row.latency_ms,
        answer=row.answer,
        detail=row.detail,
        attempted_at=iso(row.attempted_us),
    )


def _fields(row: DeliveryAttemptRow) -> dict[str, Any]:
    is_webhook = row.target_kind == "webhook"
    return {
        "id": row.delivery_id,
        "webhook_id": row.target_id if is_webhook else None,
        "channel_id": None if is_webhook else row.target_id,
        "alert_ids": list(row.alert_ids),
        "event": row.event,
        "status": row.status,
        "attempts": row.attempt,
        "last_attempt": _attempt(row),
        "created_at": iso(row.created_us),
        "next_attempt_at": iso(row.next_attempt_us) if row.next_attempt_us else None,
    }
