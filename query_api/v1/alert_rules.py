"""Serve ``/v1/alert-rules``: conditions on metrics that create alerts."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from query_api.alerting.rule_bodies import AlertRuleBody, AlertRuleChange
from query_api.alerting.rule_records import (
    AlertRuleOut,
    changed_rule,
    new_rule,
    replaced_rule,
    shown_rule,
)
from query_api.context import AppContext, ProjectId
from query_api.openapi.alert_rule_examples import METRICS_EXAMPLE, RULE_EXAMPLE
from query_api.responses import json_response
from query_api.v1.crud import Change, Create, Resource
from tracemill.clock import now_us


class MetricOut(msgspec.Struct, kw_only=True):
    name: str
    description: str
    unit: str
    dimensions: list[str]
    """Names that `filter` and `group_by` accept."""
    filters: list[str]
    """Further names that `filter` accepts."""
    only_grows: bool
    """Whether a rule with `>` or `>=` fires as soon as the value is reached."""


class MetricList(msgspec.Struct):
    data: list[MetricOut]


def _create(_context: AppContext) -> Create[AlertRuleBody, AlertRule]:
    async def create(project_id: str, body: AlertRuleBody) -> AlertRule:
        return new_rule(project_id, body, now_us())

    return create


def _add_metrics(router: APIRouter, context: AppContext) -> None:
    @router.get(
        "/v1/alert-metrics",
        summary="List the metrics of alert rules",
        responses={200: context.documented.response(MetricList, "The metrics.", METRICS_EXAMPLE)},
    )
    async def list_metrics(_project_id: ProjectId) -> Response:
        """Return what alert rules can compare, with units and dimensions."""
        return json_response(
            MetricList(
                [
                    MetricOut(
                        name=each.name,
                        description=each.about,
                        unit=each.unit,
                        dimensions=list(each.dimensions()),
                        filters=list(each.filters),
                        only_grows=each.only_grows,
                    )
                    for each in METRICS.values()
                ]
            )
        )


RESOURCE: Final = Resource(
    record=AlertRule,
    path="/v1/alert-rules",
    body=AlertRuleBody,
    create=_create,
    shown=shown_rule,
    shown_type=AlertRuleOut,
    example=RULE_EXAMPLE,
    change=Change(AlertRuleChange, lambda rule, body: changed_rule(rule, body, now_us())),
    replace=lambda rule, body: replaced_rule(rule, body, now_us()),
    about_create="The rule is evaluated from the next event on. If it is not valid, the response is"
    " 422 and names the field and what is allowed.",
    about_created="The new rule; it is in effect.",
    routes=(_add_metrics,),
)
