"""Serve ``/v1/alert-rules/backtest``: when a rule would have fired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from query_api.alerting.backtests import PastEvaluation, PastRange
from query_api.alerting.rule_bodies import AlertRuleTrialBody
from query_api.alerting.rule_records import new_rule
from query_api.body import Body
from query_api.context import AppContext, ReadingProject
from query_api.errors import BadRequestError
from query_api.openapi.alert_rule_examples import BACKTEST_EXAMPLE, BACKTEST_REQUEST_EXAMPLE
from query_api.responses import json_response
from query_api.times import SECOND_US, RecordRangeInstant, iso
from query_api.v1.backtests import (
    DAY,
    evaluated,
    one_at_a_time,
    past_range,
    record_of,
    with_record,
)
from query_api.v1.rule_past import PANE_S, read_past, resolution_s, source_of


class BacktestBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [BACKTEST_REQUEST_EXAMPLE]},
    )

    rule: AlertRuleTrialBody | None = Field(
        None, description="A rule; its fields can also stand beside `from` and `to`."
    )
    rule_id: str | None = Field(
        None, max_length=128, description="An existing rule, instead of `rule`."
    )
    from_us: RecordRangeInstant = Field(
        DAY, alias="from", validate_default=True, description="Inclusive; by default, a day ago."
    )
    to_us: Annotated[
        RecordRangeInstant | None, Field(alias="to", description="By default, now.")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _with_record(cls, given: object) -> object:
        """Accept the fields of a rule beside the range, too."""
        return with_record(given, "rule")


class PastPoint(msgspec.Struct):
    at: str
    """End of the window."""
    value: float | str | None


class PastSeriesOut(msgspec.Struct):
    group: dict[str, str]
    points: list[PastPoint]


class PastEpisode(msgspec.Struct, kw_only=True):
    group: dict[str, str]
    fired_at: str | None
    """Null if it fired before the range."""
    resolved_at: str | None
    """Null if it was still firing at the end."""
    value: float | str | None
    """The value with which it fired."""
    reason: str


class BacktestOut(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    from_: str
    to: str
    resolution_s: int
    """Length of the stored sums; alerts are exact to this time. 0: single rows are compared."""
    episodes: list[PastEpisode]
    """When the rule would have fired, oldest first."""
    alerts: list[Any]
    """The alerts as `GET /v1/alerts` lists them."""
    series: list[PastSeriesOut]
    truncated: bool
    """Whether groups are missing in `series`."""


def add_backtest(router: APIRouter, context: AppContext) -> None:
    """Add the route."""

    @router.post(
        "/v1/alert-rules/backtest",
        summary="Backtest an alert rule",
        responses={
            200: context.documented.response(
                BacktestOut, "When the rule would have fired.", BACKTEST_EXAMPLE
            )
        },
    )
    async def backtest(project_id: ReadingProject, body: BacktestBody) -> Response:
        """Evaluate a rule on stored windows, with the code that evaluates it on the stream.

        The rule is not created. Rules on dimensions of spend, such as `user_id`, are evaluated on
        sums of 15 minutes, others on sums of 10 seconds. Rules about single traces and calls
        compare their final values when they ended; `series` has those that meet the condition.
        """
        return json_response(await backtest_rule(context, project_id, body))


async def backtest_rule(context: AppContext, project_id: str, body: BacktestBody) -> BacktestOut:
    """Evaluate a rule on stored windows. One backtest runs at a time; others wait.

    Raises:
        BadRequestError, NotFoundError: as ``record_of`` and ``past_range``; or the rule cannot be
            evaluated.
        TooCostlyError, UnavailableError: as ``Reader.rows``; the former also if it takes too long.
    """
    rule = record_of(
        context,
        AlertRule,
        project_id,
        field="rule",
        body=body.rule,
        record_id=body.rule_id,
        new=new_rule,
    )
    within = past_range(
        context,
        body.from_us,
        body.to_us,
        setting="backtest_range_max_s",
        resolution_s=PANE_S,
    )
    async with one_at_a_time(context, "rule"):
        past = await read_past(context, rule, within)
        found = await evaluated(
            context,
            lambda is_cancelled: context.backtester.evaluate(rule, past, within, is_cancelled),
        )
    if found.fault:
        raise BadRequestError(f"rule: {found.fault}", field="rule")
    return _shown(context, rule, within, found)


def _shown(
    context: AppContext, rule: AlertRule, within: PastRange, found: PastEvaluation
) -> BacktestOut:
    is_money = METRICS[rule.metric].unit == "USD"
    alerts: list[Any] = [context.event_types[each.event].shown(each) for each in found.alerts]
    return BacktestOut(
        from_=iso(within.from_s * SECOND_US),
        to=iso(within.to_s * SECOND_US),
        resolution_s=resolution_s(source_of(rule)),
        episodes=_episodes(
            [context.event_types[each.event].shown(each) for each in found.before], alerts
        ),
        alerts=alerts,
        series=[
            PastSeriesOut(
                each.group,
                [
                    PastPoint(iso(at_s * SECOND_US), _amount(value, is_money=is_money))
                    for at_s, value in each.points
                ],
            )
            for each in found.series
        ],
        truncated=found.groups_left_out > 0,
    )


def _amount(value: str | None, *, is_money: bool) -> Any:
    return value if value is None or is_money else float(value)


def _episodes(before: Sequence[Any], alerts: Sequence[Any]) -> list[PastEpisode]:
    """Return the episodes, oldest first; those of ``before`` are open when the range begins."""
    found: dict[str, PastEpisode] = {
        each.episode_id: PastEpisode(
            group=each.group, fired_at=None, resolved_at=None, value=each.value, reason=each.reason
        )
        for each in before
    }
    for alert in alerts:
        is_end = alert.type == "alert.resolved"
        episode = found.get(alert.episode_id)
        if episode is None:
            episode = found[alert.episode_id] = PastEpisode(
                group=alert.group,
                fired_at=None if is_end else alert.created_at,
                resolved_at=None,
                value=None if is_end else alert.value,
                reason=alert.reason,
            )
        if is_end:
            episode.resolved_at = alert.created_at
    return list(found.values())
