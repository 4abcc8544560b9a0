"""Serve previews of annotations and test alerts of rules."""

from __future__ import annotations

import secrets
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field
from starlette.responses import Response

from producers.alerting.annotations import rendered, sample_values
from producers.alerting.trial_alerts import trial_alert_id
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.alert_test import AlertTest
from query_api.alerting.rule_bodies import AlertRuleBody, AlertRuleTrialBody
from query_api.alerting.rule_records import new_rule
from query_api.body import Body
from query_api.context import AppContext, ProjectId, ReadingProject
from query_api.openapi.alert_rule_examples import (
    PREVIEW_EXAMPLE,
    RULE_EXAMPLE,
    TEST_FIRE_EXAMPLE,
    TEST_FIRE_REQUEST_EXAMPLE,
)
from query_api.responses import json_response
from query_api.texts import OneLine
from query_api.v1.crud import RECORD_ID_MAX
from query_api.v1.records import find, quota_of
from tracemill.clock import now_us

RuleId = Annotated[str, Path(max_length=RECORD_ID_MAX, examples=[RULE_EXAMPLE["id"]])]
STATUS: Final = 202


class TestFireBody(Body):
    __test__ = False  # not a class of tests

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [TEST_FIRE_REQUEST_EXAMPLE]}
    )

    event: Literal["alert.firing", "alert.resolved", "alert.no_data"] = "alert.firing"
    author: OneLine = Field("", max_length=255)


_TEST_FIRE_BY_DEFAULT: Final = TestFireBody()


class TestFireOut(msgspec.Struct, kw_only=True):
    __test__ = False

    alert_id: str
    """Also the `webhook-id` of its deliveries."""
    event: str
    rule_id: str


class AnnotationsOut(msgspec.Struct):
    annotations: dict[str, str]
    """The rendered templates, with the threshold as value and sample values of the group."""


def add_trials(router: APIRouter, context: AppContext) -> None:
    """Add the routes."""

    @router.post(
        "/v1/alert-rules/preview",
        summary="Preview the annotations of an alert rule",
        responses={
            200: context.documented.response(
                AnnotationsOut, "The rendered annotations.", PREVIEW_EXAMPLE
            )
        },
    )
    async def preview(project_id: ReadingProject, body: AlertRuleTrialBody) -> Response:
        """Validate a rule and render its annotations, without creating it."""
        return json_response(AnnotationsOut(annotations_of(project_id, body)))

    @router.post(
        "/v1/alert-rules/{alert_rule_id}/test-fire",
        status_code=STATUS,
        summary="Send a test alert of a rule",
        responses={
            STATUS: context.documented.response(
                TestFireOut, "The alert will be sent.", TEST_FIRE_EXAMPLE
            )
        },
    )
    async def test_fire(
        project_id: ProjectId, alert_rule_id: RuleId, body: TestFireBody = _TEST_FIRE_BY_DEFAULT
    ) -> Response:
        """Send an alert with `test: true` to all receivers of the rule's alerts.

        Its value is the threshold, and its group has sample values. The state of the rule does not
        change.
        """
        return json_response(
            await fire_test(context, project_id, alert_rule_id, body), status=STATUS
        )


def annotations_of(project_id: str, body: AlertRuleBody) -> dict[str, str]:
    """Return the rendered annotations of the rule that a body describes.

    Raises:
        BadRequestError: it is invalid.
    """
    rule = new_rule(project_id, body, now_us())
    return rendered(rule, sample_values(rule))


async def fire_test(
    context: AppContext, project_id: str, rule_id: str, body: TestFireBody
) -> TestFireOut:
    """Send a test alert of a rule.

    Raises:
        NotFoundError: the project has no such rule.
        ConflictError: too many test alerts were sent.
        ControlError: the control log does not respond.
    """
    rule = find(context, AlertRule, project_id, rule_id)
    test = AlertTest(
        id=f"test_{secrets.token_hex(12)}",
        project_id=project_id,
        rule_id=rule.id,
        event=body.event,
        author=body.author,
        created_us=now_us(),
    )
    kept = context.control.view.in_project(AlertTest, project_id)
    with quota_of(context, AlertTest).taken_by(test, kept):
        await context.control.create(test)
    return TestFireOut(alert_id=trial_alert_id(test), event=test.event, rule_id=rule.id)
