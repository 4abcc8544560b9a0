"""Serve ``/v1/budgets/backtest``: what a budget would have done."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from msgspec import UNSET, UnsetType
from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from producers.control.kinds.budget import Budget
from producers.notifications.alert import Alert
from query_api import metrics
from query_api.alerting.backtests import PastRange
from query_api.body import Body
from query_api.budgets.backtests import QUARTER_S, PastBudget, SpendPane
from query_api.budgets.bodies import BudgetTrialBody
from query_api.budgets.records import new_budget
from query_api.budgets.usual import forecaster
from query_api.context import AppContext, ReadingProject
from query_api.errors import BadRequestError
from query_api.money import usd_text
from query_api.openapi.budget_backtest_examples import (
    BUDGET_BACKTEST_EXAMPLE,
    BUDGET_BACKTEST_REQUEST_EXAMPLE,
)
from query_api.responses import json_response
from query_api.store.queries.budget_past import CountSpendGroups, ReadBudgetSpend
from query_api.times import SECOND_US, RecordRangeInstant, iso
from query_api.v1.backtests import (
    DAY,
    evaluated,
    one_at_a_time,
    past_range,
    record_of,
    too_many_rows,
    with_record,
)

NOT_EVALUATED = "burn_rate: its windows are shorter than the stored quarters of an hour"


class BudgetBacktestBody(Body):
    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [BUDGET_BACKTEST_REQUEST_EXAMPLE]},
    )

    budget: BudgetTrialBody | None = Field(
        None, description="A budget; its fields can also stand beside `from` and `to`."
    )
    budget_id: str | None = Field(
        None, max_length=128, description="An existing budget, instead of `budget`."
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
        """Accept the fields of a budget beside the range, too."""
        return with_record(given, "budget")


class PastChange(msgspec.Struct, kw_only=True):
    """An event of a budget, such as a crossed threshold."""

    type: str
    at: str
    limit_name: str
    group: dict[str, str]
    tier: str | UnsetType = UNSET
    period_start: str
    threshold: float | UnsetType = UNSET
    spent_usd: str
    limit_usd: str
    forecast_usd: str | UnsetType = UNSET
    limit_reached_at: str | UnsetType = UNSET


class SpendPoint(msgspec.Struct):
    at: str
    spent_usd: str
    """Spend of the current period."""


class SpendSeriesOut(msgspec.Struct, kw_only=True):
    limit_name: str
    group: dict[str, str]
    limit_usd: str | None
    points: list[SpendPoint]


class BudgetBacktestOut(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    from_: str
    to: str
    """The end of the last whole quarter of an hour: later spend is not considered."""
    resolution_s: int
    """Length of the stored panes; events are exact to this time."""
    events: list[PastChange]
    """What the budget would have reported, oldest first."""
    alerts: list[Any]
    """The alerts as `GET /v1/alerts` lists them."""
    series: list[SpendSeriesOut]
    truncated: bool
    """Whether groups are missing in `series`."""
    groups: int
    """Number of groups with spend in the range."""
    groups_evaluated: int
    """Those with the most spend are evaluated."""
    not_evaluated: list[str]
    """Parts of the budget that stored spend is too coarse for."""


def add_budget_backtest(router: APIRouter, context: AppContext) -> None:
    """Add the route."""

    @router.post(
        "/v1/budgets/backtest",
        summary="Backtest a budget",
        responses={
            200: context.documented.response(
                BudgetBacktestOut, "What the budget would have done.", BUDGET_BACKTEST_EXAMPLE
            )
        },
    )
    async def backtest(project_id: ReadingProject, body: BudgetBacktestBody) -> Response:
        """Evaluate a budget on stored spend, with the code that evaluates it on the stream.

        The budget is not created. Spend is stored by quarters of an hour, with all corrections, so
        that nothing is taken back as on the stream. The tiers of users are the current ones.
        """
        return json_response(await backtest_budget(context, project_id, body))


async def backtest_budget(
    context: AppContext, project_id: str, body: BudgetBacktestBody
) -> BudgetBacktestOut:
    """Evaluate a budget on stored spend. One backtest runs at a time; others wait.

    Raises:
        BadRequestError, NotFoundError: as ``record_of`` and ``past_range``.
        TooCostlyError, UnavailableError: as ``Reader.rows``; the former also if it takes too long.
    """
    budget = record_of(
        context,
        Budget,
        project_id,
        field="budget",
        body=body.budget,
        record_id=body.budget_id,
        new=new_budget,
    )
    within = past_range(
        context,
        body.from_us,
        body.to_us,
        setting="budget_backtest_range_max_s",
        resolution_s=QUARTER_S,
    )
    async with one_at_a_time(context, "budget"):
        return await _backtest(context, budget, within)


async def _backtest(context: AppContext, budget: Budget, within: PastRange) -> BudgetBacktestOut:
    """Read the spend of the largest groups, and evaluate it."""
    backtester = context.budget_backtester
    try:
        ranges = backtester.earlier_of_budget(budget, within.from_s)
    except ValueError as error:
        raise BadRequestError(f"budget: {error}", field="budget") from error
    reader = _Reader(context, budget, within)
    groups = await reader.groups()
    earlier = {
        each.limit_name: await reader.read(each.from_s, within.from_s, is_whole=each.is_whole)
        for each in ranges
    }
    panes = await reader.read(within.from_s, within.to_s)
    tier_of = context.tiers.book.tier_of
    usual = await forecaster(context, budget, within.from_s)
    found = await evaluated(
        context,
        lambda is_cancelled: backtester.evaluate_budget(
            budget, earlier, panes, within, tier_of, usual, is_cancelled
        ),
    )
    return _shown(context, budget, within, found, groups)


class _Reader:
    """Read the stored spend of a budget, for a limited number of groups and rows."""

    def __init__(self, context: AppContext, budget: Budget, within: PastRange) -> None:
        self._context = context
        self._budget = budget
        self._within = within
        self._scope = tuple(sorted(budget.scope.items()))
        self._has_tier = any(limit.tiers for limit in budget.all_limits())
        self._rows_left = context.settings.backtest_rows_max

    async def groups(self) -> int:
        """Return the number of groups with spend; note in a metric if not all are evaluated."""
        within, budget = self._within, self._budget
        query = CountSpendGroups(
            budget.project_id, within.from_s, within.to_s, self._scope, budget.group_by
        )
        rows = await self._context.reader.rows(query, _Groups)
        count = rows[0].groups if rows else 0
        if count > self._context.settings.budget_backtest_groups_max:
            metrics.LIMITS_REACHED.labels("budget_backtest_groups_max").inc()
        return count

    async def read(self, from_s: int, to_s: int, *, is_whole: bool = False) -> list[SpendPane]:
        """Return spend sorted by start.

        Raises:
            TooCostlyError: there are too many rows.
        """
        within, budget, context = self._within, self._budget, self._context
        query = ReadBudgetSpend(
            budget.project_id,
            from_s,
            to_s,
            self._scope,
            budget.group_by,
            within.from_s,
            within.to_s,
            context.settings.budget_backtest_groups_max,
            self._has_tier,
            is_whole,
            self._rows_left + 1,
        )
        found = await context.reader.rows(query, SpendPane)
        self._rows_left -= len(found)
        if self._rows_left < 0:
            raise too_many_rows(context)
        return found


class _Groups(msgspec.Struct):
    groups: int


def _shown(
    context: AppContext, budget: Budget, within: PastRange, found: PastBudget, groups: int
) -> BudgetBacktestOut:
    alerts: list[Any] = [context.event_types[each.event].shown(each) for each in found.alerts]
    return BudgetBacktestOut(
        from_=iso(within.from_s * SECOND_US),
        to=iso(within.to_s * SECOND_US),
        resolution_s=QUARTER_S,
        events=[_event(context, each) for each in found.alerts],
        alerts=alerts,
        series=[
            SpendSeriesOut(
                limit_name=each.limit_name,
                group=each.group,
                limit_usd=usd_text(each.limit_pico) if each.limit_pico else None,
                points=[
                    SpendPoint(iso(at_s * SECOND_US), usd_text(pico)) for at_s, pico in each.points
                ],
            )
            for each in found.series
        ],
        truncated=found.is_truncated,
        groups=groups,
        groups_evaluated=min(groups, context.settings.budget_backtest_groups_max),
        not_evaluated=[NOT_EVALUATED] if budget.burn_rate is not None else [],
    )


def _event(context: AppContext, alert: Alert) -> PastChange:
    event_type = context.event_types[alert.event]
    data: Any = event_type.webhook_data(alert, event_type.payload_of(alert))
    return PastChange(
        type=alert.event,
        at=iso(alert.created_us),
        limit_name=data.get("limit_name", ""),
        group=data["group"],
        tier=data.get("tier", UNSET),
        period_start=data["period_start"],
        threshold=data.get("threshold", UNSET),
        spent_usd=data["spent_usd"],
        limit_usd=data["limit_usd"],
        forecast_usd=data.get("forecast_usd", UNSET),
        limit_reached_at=data.get("limit_reached_at", UNSET),
    )
