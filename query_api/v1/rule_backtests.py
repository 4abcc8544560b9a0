"""Serve ``/v1/alert-rules/backtest``: when a rule would have fired."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import Response

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from query_api.alerting.backtests import PastEvaluation, PastRange, RulePane
from query_api.alerting.rule_bodies import AlertRuleBody
from query_api.alerting.rule_records import new_rule
from query_api.body import Body
from query_api.context import AppContext, ProjectId
from query_api.errors import BadRequestError
from query_api.openapi.alert_rule_examples import BACKTEST_EXAMPLE, BACKTEST_REQUEST_EXAMPLE
from query_api.responses import json_response
from query_api.store.queries.rule_panes import RESOLUTION_S, ReadRulePanes, Source
from query_api.times import SECOND_US, RecordInstant, iso
from query_api.v1.backtests import evaluated, past_range, record_of, too_many_rows

_PANE_S: Final = 10
_SKETCHES: Final = frozenset({"latency_bins", "ttft_bins", "rate_bins"})


class BacktestBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [BACKTEST_REQUEST_EXAMPLE]},
    )

    rule: AlertRuleBody | None = None
    rule_id: str | None = Field(
        None, max_length=128, description="An existing rule, instead of `rule`."
    )
    from_us: RecordInstant = Field(alias="from", description="Inclusive.")
    to_us: Annotated[RecordInstant | None, Field(alias="to", description="By default, now.")] = None


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
    """Length of the stored panes; alerts are exact to this time."""
    episodes: list[PastEpisode]
    """When the rule would have fired, oldest first."""
    alerts: list[Any]
    """The alerts as `GET /v1/alerts` lists them."""
    series: list[PastSeriesOut]
    truncated: bool
    """Whether groups are missing in `series`."""


def add_backtest(router: APIRouter, context: AppContext) -> None:
    """Add the route. One backtest runs at a time; others wait."""
    one_at_a_time = asyncio.Semaphore(1)

    @router.post(
        "/v1/alert-rules/backtest",
        summary="Backtest an alert rule",
        responses={
            200: context.documented.response(
                BacktestOut, "When the rule would have fired.", BACKTEST_EXAMPLE
            )
        },
    )
    async def backtest(project_id: ProjectId, body: BacktestBody) -> Response:
        """Evaluate a rule on stored windows, with the code that evaluates it on the stream.

        The rule is not created. It must have a fixed threshold. Rules on dimensions of spend, such
        as `user_id`, are evaluated on sums of 15 minutes, others on sums of 10 seconds.
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
        _require_fixed_threshold(rule)
        within = past_range(
            context,
            body.from_us,
            body.to_us,
            setting="backtest_range_max_s",
            resolution_s=_PANE_S,
        )
        async with one_at_a_time:
            source, panes = await _read(context, rule, within)
            found = await evaluated(
                context,
                lambda is_cancelled: context.backtester.evaluate(
                    rule, source, panes, within, is_cancelled
                ),
            )
        if found.fault:
            raise BadRequestError(f"rule: {found.fault}", field="rule")
        return json_response(_shown(context, rule, source, within, found))


def _require_fixed_threshold(rule: AlertRule) -> None:
    """Refuse rules that compare with earlier windows, whose values a backtest does not read."""
    for field, is_set in (
        ("rule.compare_with", bool(rule.compare_with)),
        ("rule.anomaly", rule.anomaly is not None),
    ):
        if is_set:
            message = (
                f"{field}: only rules with a fixed threshold can be tested on the past; set it to"
                " null and give a threshold in the unit of the metric"
            )
            raise BadRequestError(message, field=field)


async def _read(
    context: AppContext, rule: AlertRule, within: PastRange
) -> tuple[Source, list[RulePane]]:
    """Return the stored sums that the rule compares, in queries of a part of the range.

    Raises:
        BadRequestError: the metric is not computed from windows or spend.
        TooCostlyError: there are too many rows.
    """
    metric = METRICS[rule.metric]
    used = tuple(dict.fromkeys((*rule.group_by, *metric.group, *rule.filter)))
    source = metric.source_for(used)
    if source not in RESOLUTION_S:
        allowed = tuple(each.name for each in METRICS.values() if {*each.sources} & {*RESOLUTION_S})
        message = (
            f"rule.metric: {metric.name} cannot be tested on the past, because it is not computed"
            f" from windows or spend; allowed: {', '.join(allowed)}"
        )
        raise BadRequestError(message, field="rule.metric", allowed=allowed)
    known = metric.dimensions_of(source)
    limit, part_s = context.settings.backtest_rows_max, context.settings.backtest_part_s
    panes: list[RulePane] = []
    start_s = max(0, context.backtester.first_needed_s(rule, within.from_s))
    for from_s in range(start_s, within.to_s, part_s):
        query = ReadRulePanes(
            rule.project_id,
            from_s,
            min(from_s + part_s, within.to_s),
            source,
            tuple(name for name in used if name in known),
            tuple((name, values) for name, values in rule.filter.items() if name in known),
            metric.of[0] if metric.of[0] in _SKETCHES else "",
            limit + 1 - len(panes),
        )
        panes += await context.reader.rows(query, RulePane)
        if len(panes) > limit:
            raise too_many_rows(context)
    return source, panes


def _shown(
    context: AppContext, rule: AlertRule, source: Source, within: PastRange, found: PastEvaluation
) -> BacktestOut:
    is_money = METRICS[rule.metric].unit == "USD"
    alerts: list[Any] = [context.event_types[each.event].shown(each) for each in found.alerts]
    return BacktestOut(
        from_=iso(within.from_s * SECOND_US),
        to=iso(within.to_s * SECOND_US),
        resolution_s=RESOLUTION_S[source],
        episodes=_episodes(alerts),
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


def _episodes(alerts: Sequence[Any]) -> list[PastEpisode]:
    """Return the episodes of alerts, oldest first."""
    found: dict[str, PastEpisode] = {}
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
