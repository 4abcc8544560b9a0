"""Serve ``/v1/alert-rules``: conditions on metrics that create alerts."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path
from pydantic import ValidationError
from starlette.responses import Response

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from producers.control.state import Envelope
from query_api.alerting.rule_bodies import AlertRuleBody, AlertRuleChange
from query_api.alerting.rule_records import (
    AlertRuleOut,
    changed_rule,
    new_rule,
    replaced_rule,
    shown_rule,
)
from query_api.context import AppContext, ProjectId
from query_api.errors import NotFoundError
from query_api.openapi.alert_rule_examples import METRICS_EXAMPLE, RULE_EXAMPLE, VERSIONS_EXAMPLE
from query_api.responses import json_response
from query_api.store.queries.control_versions import FindVersions
from query_api.times import iso
from query_api.v1.alert_rule_trials import add_trials
from query_api.v1.crud import RECORD_ID_MAX, Change, Create, Resource
from query_api.v1.rule_backtests import add_backtest
from tracemill.clock import now_us

VERSIONS_MAX: Final = 100
RuleId = Annotated[str, Path(max_length=RECORD_ID_MAX, examples=[RULE_EXAMPLE["id"]])]


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


class RuleVersion(msgspec.Struct):
    version: int
    stored_at: str
    rule: AlertRuleOut


class RuleVersions(msgspec.Struct):
    data: list[RuleVersion]


class _VersionRow(msgspec.Struct):
    record: str
    appended_us: int


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


def _add_versions(router: APIRouter, context: AppContext) -> None:
    @router.get(
        "/v1/alert-rules/{alert_rule_id}/versions",
        summary="List the versions of an alert rule",
        responses={
            200: context.documented.response(
                RuleVersions, "The versions, newest first.", VERSIONS_EXAMPLE
            )
        },
    )
    async def list_versions(project_id: ProjectId, alert_rule_id: RuleId) -> Response:
        """Return the stored versions of a rule, also of a deleted one; the newest 100."""
        versions = await read_versions(context, project_id, alert_rule_id)
        return json_response(RuleVersions(versions))


async def read_versions(context: AppContext, project_id: str, rule_id: str) -> list[RuleVersion]:
    """Read the stored versions of a rule, newest first.

    Raises:
        NotFoundError: the project has and had no such rule.
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    return [
        RuleVersion(rule.version, iso(stored_us), shown_rule(rule))
        for rule, stored_us in await stored_versions(context, project_id, rule_id)
    ]


async def stored_versions(
    context: AppContext, project_id: str, rule_id: str
) -> list[tuple[AlertRule, int]]:
    """Read the versions of a rule with the times when they were stored (µs), newest first.

    Raises like ``read_versions``.
    """
    query = FindVersions(project_id, AlertRule.kind, rule_id, VERSIONS_MAX)
    rows = await context.reader.rows(query, _VersionRow)
    held = context.control.view.in_project(AlertRule, project_id).get(rule_id)
    if not rows and held is None:
        raise NotFoundError(f"no alert rule {rule_id!r}")
    versions = [found for row in rows if (found := _version(row)) is not None]
    if held is not None and held.version not in {rule.version for rule, _ in versions}:
        versions.insert(0, (held, held.updated_us))
    return versions


def _version(row: _VersionRow) -> tuple[AlertRule, int] | None:
    """Return a stored version; None if this version of tracemill cannot read it."""
    try:
        envelope = msgspec.json.decode(row.record, type=Envelope)
        rule = AlertRule.model_validate(envelope.record, strict=False)
    except (msgspec.MsgspecError, ValidationError):
        return None
    return rule, row.appended_us


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
    routes=(_add_metrics, _add_versions, add_trials, add_backtest),
)
