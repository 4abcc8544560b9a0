"""Convert bodies of budgets to records, and records to responses."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from producers.control.kinds.budget import Budget, BudgetLimit, BurnRate, fault_of_limit
from producers.dimensions.registry import REGISTRY
from query_api.budgets.bodies import (
    BudgetBody,
    BudgetChange,
    BurnRateBody,
    LimitBody,
)
from query_api.durations import duration_text
from query_api.errors import BadRequestError
from query_api.money import usd_text
from query_api.times import iso
from query_api.v1.budget_scope import BudgetScope


class LimitOut(msgspec.Struct, kw_only=True):
    name: str
    period: str
    limit_usd: str | UnsetType = UNSET
    tiers: dict[str, str] | UnsetType = UNSET
    default_tier: str | UnsetType = UNSET
    overrides: dict[str, str] | UnsetType = UNSET


class BurnRateOut(msgspec.Struct, kw_only=True):
    fast: str
    slow: str
    factor: str


class BudgetOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    scope: dict[str, str]
    group_by: list[str] | UnsetType = UNSET
    """This member, and others that most budgets do not need, are absent if they have no value."""
    period: str | UnsetType = UNSET
    time_zone: str
    limit_usd: str | UnsetType = UNSET
    tiers: dict[str, str] | UnsetType = UNSET
    default_tier: str | UnsetType = UNSET
    overrides: dict[str, str] | UnsetType = UNSET
    limits: list[LimitOut] | UnsetType = UNSET
    thresholds: list[float]
    forecast: str | UnsetType = UNSET
    burn_rate: BurnRateOut | UnsetType = UNSET
    created_at: str


def new_budget(project_id: str, body: BudgetBody, at_us: int) -> Budget:
    """Return the budget that a body describes.

    Raises:
        BadRequestError: it is invalid.
    """
    identity = {"id": f"bud_{secrets.token_hex(12)}", "project_id": project_id}
    return Budget(created_us=at_us, **identity, **_fields_of(body))


def replaced_budget(budget: Budget, body: BudgetBody) -> Budget:
    """Return a budget with all fields of a body. Raises like ``new_budget``."""
    identity = {"id": budget.id, "project_id": budget.project_id, "created_us": budget.created_us}
    return Budget(**identity, **_fields_of(body))


def changed_budget(budget: Budget, change: BudgetChange) -> Budget:
    """Return a budget with those fields that are in a body. Raises like ``new_budget``."""
    given = {name: getattr(change, name) for name in change.model_fields_set}
    if "name" in given and not given["name"]:
        raise BadRequestError("name: must not be empty", field="name")
    if "tiers" in given and "limit_usd" not in given:
        given["limit_usd"] = None
    elif "limit_usd" in given and "tiers" not in given:
        given |= {"tiers": {}, "default_tier": given.get("default_tier", "")}
    return replaced_budget(budget, _body_of(budget).model_copy(update=given))


def shown_budget(budget: Budget) -> BudgetOut:
    """Return a budget as responses show it."""
    burn = budget.burn_rate
    only = not budget.limits
    return BudgetOut(
        id=budget.id,
        name=budget.name,
        scope=dict(budget.scope),
        group_by=list(budget.group_by) or UNSET,
        period=budget.period if only else UNSET,
        time_zone=budget.time_zone,
        **(_amounts(budget) if only else {}),
        limits=[
            LimitOut(name=each.name, period=each.period, **_amounts(each)) for each in budget.limits
        ]
        or UNSET,
        thresholds=[float(threshold) for threshold in budget.thresholds],
        forecast=budget.forecast or UNSET,
        burn_rate=UNSET
        if burn is None
        else BurnRateOut(
            fast=duration_text(burn.fast_s), slow=duration_text(burn.slow_s), factor=burn.factor
        ),
        created_at=iso(budget.created_us),
    )


def _amounts(limit: Budget | BudgetLimit) -> dict[str, Any]:
    return {
        "limit_usd": UNSET if limit.limit_pico is None else usd_text(limit.limit_pico),
        "tiers": _usd_of(limit.tiers) or UNSET,
        "default_tier": limit.default_tier or UNSET,
        "overrides": _usd_of(limit.overrides) or UNSET,
    }


def _usd_of(amounts: Mapping[str, int]) -> dict[str, str]:
    return {name: usd_text(pico) for name, pico in amounts.items()}


def _fields_of(body: BudgetBody) -> dict[str, Any]:
    group_by = tuple(sorted(_checked_groups(body.group_by)))
    fields: dict[str, Any] = {
        "name": body.name,
        "scope": body.scope.model_dump(exclude_none=True),
        "group_by": group_by,
        "time_zone": body.time_zone,
        "thresholds": tuple(body.thresholds),
        "forecast": body.forecast,
        "burn_rate": _burn_rate(body.burn_rate),
    }
    if body.limits:
        return fields | {"limits": _limits_of(body, group_by)}
    if body.period is None:
        raise BadRequestError("period: required", field="period")
    return fields | _limit(body, body.period, group_by, "")


def _limits_of(body: BudgetBody, group_by: tuple[str, ...]) -> tuple[BudgetLimit, ...]:
    for field, value in (
        ("period", body.period),
        ("limit_usd", body.limit_usd),
        ("tiers", body.tiers),
        ("default_tier", body.default_tier),
        ("overrides", body.overrides),
    ):
        if value:
            message = f"{field}: cannot be combined with limits; set it in each of limits"
            raise BadRequestError(message, field=field)
    names = [limit.name or limit.period for limit in body.limits]
    for at, name in enumerate(names):
        if name in names[:at]:
            path = f"limits.{at}.name"
            raise BadRequestError(f"{path}: {name!r} appears twice", field=path)
    return tuple(
        BudgetLimit(name=name, **_limit(each, each.period, group_by, f"limits.{at}."))
        for at, (name, each) in enumerate(zip(names, body.limits, strict=True))
    )


def _limit(
    body: BudgetBody | LimitBody, period: str, group_by: tuple[str, ...], path: str
) -> dict[str, Any]:
    limit: dict[str, Any] = {
        "period": period,
        "limit_pico": body.limit_usd,
        "tiers": body.tiers,
        "default_tier": body.default_tier,
        "overrides": body.overrides,
    }
    fault = fault_of_limit(BudgetLimit.model_construct(**limit), group_by)
    if fault is not None:
        field, message = f"{path}{fault[0]}", fault[1]
        raise BadRequestError(f"{field}: {message}", field=field)
    return limit


def _checked_groups(group_by: list[str]) -> list[str]:
    allowed = tuple(each.name for each in REGISTRY.of_spend())
    named = [REGISTRY.name_of(name) for name in group_by]
    for at, name in enumerate(named):
        if name not in allowed:
            message = f"group_by: {name[:64]!r} is not one of {', '.join(allowed)}"
            raise BadRequestError(message, field="group_by", allowed=allowed)
        if name in named[:at]:
            raise BadRequestError(f"group_by: {name!r} appears twice", field="group_by")
    return named


def _burn_rate(body: BurnRateBody | None) -> BurnRate | None:
    if body is None:
        return None
    if body.fast >= body.slow:
        field = "burn_rate.fast"
        raise BadRequestError(f"{field}: must be shorter than slow", field=field)
    return BurnRate(fast_s=body.fast, slow_s=body.slow, factor=body.factor)


def _body_of(budget: Budget) -> BudgetBody:
    burn = budget.burn_rate
    only = not budget.limits
    return BudgetBody.model_construct(
        name=budget.name,
        scope=BudgetScope(**budget.scope),
        group_by=list(budget.group_by),
        period=budget.period if only else None,
        time_zone=budget.time_zone,
        limit_usd=budget.limit_pico,
        tiers=budget.tiers,
        default_tier=budget.default_tier,
        overrides=budget.overrides,
        limits=[
            LimitBody.model_construct(
                name=each.name,
                period=each.period,
                limit_usd=each.limit_pico,
                tiers=each.tiers,
                default_tier=each.default_tier,
                overrides=each.overrides,
            )
            for each in budget.limits
        ],
        thresholds=list(budget.thresholds),
        forecast=budget.forecast,
        burn_rate=None
        if burn is None
        else BurnRateBody.model_construct(fast=burn.fast_s, slow=burn.slow_s, factor=burn.factor),
    )
