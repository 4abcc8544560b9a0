"""Serve ``/v1/budgets``: limits of what a scope may spend per period, and their status."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from producers.control.kinds.budget import Budget
from query_api.budgets.bodies import BudgetBody, BudgetChange
from query_api.budgets.burn_down import BurnDownList, burn_down_of
from query_api.budgets.group_states import GROUPS_MAX
from query_api.budgets.records import (
    BudgetOut,
    changed_budget,
    new_budget,
    replaced_budget,
    shown_budget,
)
from query_api.budgets.status import BudgetStatus, group_of, status_of
from query_api.context import AppContext, ProjectId
from query_api.numbers import Whole
from query_api.openapi.v1_examples import BUDGET_EXAMPLE, BUDGET_STATUS_EXAMPLE, BURN_DOWN_EXAMPLE
from query_api.responses import json_response
from query_api.v1.budget_backtests import add_budget_backtest
from query_api.v1.crud import Change, Create, Resource
from query_api.v1.parameters import Name, NativeParameters
from query_api.v1.records import find
from tracemill.clock import now_us

BudgetId = Annotated[str, Path(max_length=128, examples=[BUDGET_EXAMPLE["id"]])]


class StatusParameters(NativeParameters):
    group: list[Name] = Field(
        default=[],
        max_length=10,
        description="Only this group, as `dimension:value`, such as `user_id:u1`; once for each"
        " dimension of `group_by`. If there is one dimension, the value is sufficient.",
    )
    limit: Whole = Field(
        default=10,
        ge=1,
        le=GROUPS_MAX,
        description="Number of groups; those with the largest shares of their limits come first.",
    )


class BurnDownParameters(NativeParameters):
    group: list[Name] = Field(
        default=[],
        max_length=10,
        description="This group, as `dimension:value`, once for each dimension of `group_by`; by"
        " default that with the largest share of its limit.",
    )


def _create(_context: AppContext) -> Create[BudgetBody, Budget]:
    async def create(project_id: str, body: BudgetBody) -> Budget:
        return new_budget(project_id, body, now_us())

    return create


def _add_status(router: APIRouter, context: AppContext) -> None:
    @router.get(
        "/v1/budgets/{budget_id}/status",
        summary="Get the status of a budget",
        responses={
            200: context.documented.response(
                BudgetStatus, "The current period.", BUDGET_STATUS_EXAMPLE
            )
        },
    )
    async def get_status(
        project_id: ProjectId,
        budget_id: BudgetId,
        parameters: Annotated[StatusParameters, Query()],
    ) -> Response:
        """Return the spend in the current period, in the budget's time zone.

        With `group_by`, the response has the groups with the largest shares of their limits.
        """
        budget = find(context, Budget, project_id, budget_id)
        group = group_of(budget, parameters.group)
        return json_response(await status_of(context, budget, group, parameters.limit, now_us()))


def _add_burn_down(router: APIRouter, context: AppContext) -> None:
    @router.get(
        "/v1/budgets/{budget_id}/burn-down",
        summary="Get the burn-down of a budget",
        responses={
            200: context.documented.response(
                BurnDownList, "The current period of each limit.", BURN_DOWN_EXAMPLE
            )
        },
    )
    async def get_burn_down(
        project_id: ProjectId,
        budget_id: BudgetId,
        parameters: Annotated[BurnDownParameters, Query()],
    ) -> Response:
        """Return the spend over the current period, and the forecast to its end.

        Limits whose period has no end (`total`, `rolling_…`) are left out.
        """
        budget = find(context, Budget, project_id, budget_id)
        group = group_of(budget, parameters.group)
        return json_response(BurnDownList(await burn_down_of(context, budget, group, now_us())))


RESOURCE: Final = Resource(
    record=Budget,
    path="/v1/budgets",
    body=BudgetBody,
    create=_create,
    shown=shown_budget,
    shown_type=BudgetOut,
    example=BUDGET_EXAMPLE,
    change=Change(BudgetChange, changed_budget),
    replace=replaced_budget,
    about_create="Spend of the current period from before the creation is included.",
    routes=(_add_status, _add_burn_down, add_budget_backtest),
)
