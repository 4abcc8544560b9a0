"""Serve ``/v1/budgets``: limits of what a scope may spend per day or month, and their status."""

from __future__ import annotations

import asyncio
import re
import secrets
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Path
from pydantic import BeforeValidator, ConfigDict, Field, field_validator
from starlette.responses import Response

from producers.control.kinds.budget import THRESHOLDS_MAX, Budget
from producers.control.periods import period_bounds
from query_api.body import Body
from query_api.context import AppContext, ProjectId
from query_api.money import pico_of, usd_text
from query_api.openapi.v1_examples import (
    BUDGET_EXAMPLE,
    BUDGET_REQUEST_EXAMPLE,
    BUDGET_STATUS_EXAMPLE,
)
from query_api.responses import json_response
from query_api.store.queries.alerts import CrossedThresholds
from query_api.store.queries.spend import SumSpend
from query_api.times import SECOND_US, TimeZone, iso
from query_api.v1.budget_scope import BudgetScope
from query_api.v1.crud import Create, Resource, find
from tracemill.clock import now_us

LIMIT_MAX_PICO: Final = 2**63 - 1
THRESHOLD_MAX: Final = 100
_THRESHOLD_DECIMALS: Final = 6
_DECIMAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


def _limit_pico(amount: object) -> int:
    """Parse US dollars; a JSON number is read as its shortest decimal representation."""
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        raise ValueError('must be a decimal string such as "0.10"')  # noqa: TRY004
    if isinstance(amount, str):
        _require_decimal(amount)
    pico = pico_of(amount if isinstance(amount, str) else repr(amount))
    if not 0 < pico <= LIMIT_MAX_PICO:
        raise ValueError(f"must be above 0 and at most {usd_text(LIMIT_MAX_PICO)}")
    return pico


def _require_decimal(text: str) -> None:
    """Refuse forms that only ``Decimal`` accepts, such as underscores, spaces and exponents."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"must be a decimal number above 0, such as 0.10, not {text[:64]!r}")


def _threshold(share: object) -> str:
    if isinstance(share, bool) or not isinstance(share, str | int | float):
        raise ValueError("must be a number such as 0.8")  # noqa: TRY004
    if isinstance(share, str):
        _require_decimal(share)
    try:
        number = Decimal(str(share))
    except InvalidOperation as error:
        raise ValueError(f"must be a number, not {str(share)[:64]!r}") from error
    if not number.is_finite() or not 0 < number <= THRESHOLD_MAX:
        raise ValueError(f"must be above 0 and at most {THRESHOLD_MAX}")
    if number != round(number, _THRESHOLD_DECIMALS):
        raise ValueError(f"must have at most {_THRESHOLD_DECIMALS} decimals")
    return format(number.normalize(), "f")


class BudgetBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [BUDGET_REQUEST_EXAMPLE]}
    )

    name: str = Field(min_length=1, max_length=255)
    scope: BudgetScope = BudgetScope()
    period: Literal["day", "month"]
    time_zone: TimeZone = "UTC"
    limit_usd: Annotated[
        int,
        BeforeValidator(_limit_pico, json_schema_input_type=str | float),
        Field(description="US dollars; a decimal string is exact."),
    ]
    thresholds: list[
        Annotated[str, BeforeValidator(_threshold, json_schema_input_type=float | str)]
    ] = Field(
        default=["0.8", "1"],
        min_length=1,
        max_length=THRESHOLDS_MAX,
        description="Fractions of the limit. Crossing one creates an alert.",
    )

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: list[str]) -> list[str]:
        if len(set(thresholds)) != len(thresholds):
            raise ValueError("a threshold appears twice")
        return sorted(thresholds, key=Decimal)


class BudgetOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    scope: dict[str, str]
    period: str
    time_zone: str
    limit_usd: str
    thresholds: list[float]
    created_at: str


class BudgetStatus(msgspec.Struct, kw_only=True):
    budget_id: str
    name: str
    spent_usd: str
    limit_usd: str
    remaining_usd: str
    """Negative if spend exceeds the limit."""
    period_start: str
    period_end: str
    crossed: list[float]
    """Thresholds that were crossed in this period, even if spend was corrected to less since."""


class Spent(msgspec.Struct):
    spent: str


class Crossed(msgspec.Struct):
    threshold: str


BudgetId = Annotated[str, Path(max_length=128, examples=[BUDGET_EXAMPLE["id"]])]


def _create(_context: AppContext) -> Create[BudgetBody, Budget]:
    async def create(project_id: str, body: BudgetBody) -> Budget:
        return Budget(
            id=f"bud_{secrets.token_hex(12)}",
            project_id=project_id,
            name=body.name,
            scope=body.scope.model_dump(exclude_none=True),
            period=body.period,
            time_zone=body.time_zone,
            limit_pico=body.limit_usd,
            thresholds=tuple(body.thresholds),
            created_us=now_us(),
        )

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
    async def get_status(project_id: ProjectId, budget_id: BudgetId) -> Response:
        """Return the spend in the current period, in the budget's time zone."""
        budget = find(context, Budget, project_id, budget_id)
        start_us, end_us = period_bounds(budget.period, budget.time_zone, now_us())
        spend = SumSpend(
            project_id,
            start_us // SECOND_US,
            end_us // SECOND_US,
            tuple(sorted(budget.scope.items())),
        )
        spent, alerts = await asyncio.gather(
            context.reader.row(spend, Spent),
            context.reader.rows(CrossedThresholds(project_id, budget.id, start_us), Crossed),
        )
        spent_pico = pico_of(spent.spent) if spent else 0
        return json_response(_status(budget, spent_pico, (start_us, end_us), alerts))


def _shown(budget: Budget) -> BudgetOut:
    return BudgetOut(
        id=budget.id,
        name=budget.name,
        scope={str(name): value for name, value in budget.scope.items()},
        period=budget.period,
        time_zone=budget.time_zone,
        limit_usd=usd_text(budget.limit_pico),
        thresholds=[float(threshold) for threshold in budget.thresholds],
        created_at=iso(budget.created_us),
    )


def _status(
    budget: Budget, spent_pico: int, bounds_us: tuple[int, int], alerts: list[Crossed]
) -> BudgetStatus:
    alerted = {Decimal(alert.threshold) for alert in alerts}
    reached = [
        threshold
        for threshold in map(Decimal, budget.thresholds)
        if threshold in alerted or spent_pico >= threshold * budget.limit_pico
    ]
    return BudgetStatus(
        budget_id=budget.id,
        name=budget.name,
        spent_usd=usd_text(spent_pico),
        limit_usd=usd_text(budget.limit_pico),
        remaining_usd=usd_text(budget.limit_pico - spent_pico),
        period_start=iso(bounds_us[0]),
        period_end=iso(bounds_us[1]),
        crossed=[float(threshold) for threshold in reached],
    )


RESOURCE: Final = Resource(
    record=Budget,
    path="/v1/budgets",
    body=BudgetBody,
    create=_create,
    shown=_shown,
    shown_type=BudgetOut,
    example=BUDGET_EXAMPLE,
    about_create="Spend of the current period from before the creation is included.",
    routes=(_add_status,),
)
