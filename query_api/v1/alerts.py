"""Serve ``/v1/alerts``: alerts of rules, such as crossed thresholds of budgets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from clickhouse.alert_rows import alert_of_row
from clickhouse.rows import AlertRow
from producers.notifications.event_type import shown_alert
from producers.notifications.registry import EventTypes
from query_api.context import AppContext, ProjectId
from query_api.openapi.v1_examples import ALERT_LIST_EXAMPLE
from query_api.pages import NativeMeta
from query_api.responses import json_response
from query_api.store.queries.alerts import FindAlerts
from query_api.v1.parameters import KeysetParameters, Name, keyset_page, native_router


class AlertParameters(KeysetParameters):
    budget_id: Name | None = None


def alerts_router(context: AppContext) -> APIRouter:
    router = native_router("alerts")
    event_types, documented = context.event_types, context.documented
    alert_list = _list_of(event_types)
    for event_type in event_types.values():
        documented.add_schema(event_type.shape)

    @router.get(
        "/v1/alerts",
        summary="List alerts",
        responses={
            200: documented.response(alert_list, "Alerts, newest first.", ALERT_LIST_EXAMPLE)
        },
    )
    async def list_alerts(
        project_id: ProjectId, parameters: Annotated[AlertParameters, Query()]
    ) -> Response:
        query = FindAlerts(
            project_id,
            parameters.limit + 1,
            parameters.position(),
            parameters.budget_id or "",
        )
        rows = await context.reader.rows(query, AlertRow)
        page, meta = keyset_page(rows, parameters.limit, lambda row: (row.created_us, row.id))
        return json_response(alert_list([_shown(row, event_types) for row in page], meta))

    return router


def _shown(row: AlertRow, event_types: EventTypes) -> msgspec.Struct:
    """Return an alert in the shape of its event type; if that is unknown, in the generic shape."""
    alert = alert_of_row(row)
    event_type = event_types.get(alert.event)
    return shown_alert(alert) if event_type is None else event_type.shown(alert)


def _list_of(event_types: EventTypes) -> Any:
    """Define the struct of a page, whose items have the shapes of all event types."""
    names = dict.fromkeys(event_type.shape.__name__ for event_type in event_types.values())
    shapes = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    item = Annotated[Any, msgspec.Meta(extra_json_schema={"anyOf": shapes})]
    return msgspec.defstruct("AlertList", [("data", list[item]), ("meta", NativeMeta)])
