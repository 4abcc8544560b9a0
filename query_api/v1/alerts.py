"""``/v1/alerts``: the budget thresholds that were crossed."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from query_api.answers import answer
from query_api.context import AppContext, ProjectId
from query_api.json_texts import members
from query_api.money import usd_text
from query_api.openapi.v1_examples import ALERT_LIST_EXAMPLE
from query_api.pages import NativeMeta
from query_api.store.queries.alerts import FindAlerts
from query_api.store.rows import StoredAlert
from query_api.times import iso
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router


class AlertOut(msgspec.Struct, kw_only=True, gc=False):
    id: str
    """Also the ``webhook-id`` of its deliveries."""
    type: str = "budget.threshold_crossed"
    budget_id: str
    name: str
    scope: dict[str, msgspec.Raw]
    period_start: str
    threshold: float
    spent_usd: str
    limit_usd: str
    trace_id: str | None
    created_at: str


class AlertList(msgspec.Struct):
    data: list[AlertOut]
    meta: NativeMeta


class AlertParameters(KeysetParameters):
    budget_id: Name | None = None


def alerts_router(context: AppContext) -> APIRouter:
    router = native_router("alerts")

    @router.get(
        "/v1/alerts",
        summary="List alerts",
        responses={
            200: context.documented.as_answer(AlertList, "Newest first.", ALERT_LIST_EXAMPLE)
        },
    )
    async def list_alerts(
        project_id: ProjectId, parameters: Annotated[AlertParameters, Query()]
    ) -> Response:
        question = FindAlerts(
            project_id,
            parameters.limit + 1,
            parameters.position(),
            parameters.budget_id or "",
        )
        rows = await context.reader.rows(question, StoredAlert)
        page, meta = keyset_page(rows, parameters.limit, lambda row: (row.created_us, row.id))
        return answer(AlertList([_shown(row) for row in page], meta))

    return router


def _shown(row: StoredAlert) -> AlertOut:
    return AlertOut(
        id=row.id,
        budget_id=row.budget_id,
        name=row.name,
        scope=members(row.scope),
        period_start=iso(row.period_start_us),
        threshold=float(row.threshold),
        spent_usd=usd_text(row.spent_pico),
        limit_usd=usd_text(row.limit_pico),
        trace_id=row.trace_id or None,
        created_at=iso(row.created_us),
    )
