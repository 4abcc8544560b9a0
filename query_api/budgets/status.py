"""Compute the status of a budget from the states of its groups, or from the stored spend."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from producers.budgets.forecast import Forecaster
from producers.budgets.groups import group_text, limit_of_group
from producers.control.kinds.budget import USER, Budget, BudgetLimit, has_end
from producers.control.periods import FOREVER_US, QUARTER_US, period_bounds, rolling_us
from producers.dimensions.registry import REGISTRY
from query_api.budgets.group_states import read_groups, read_single
from query_api.budgets.usual import forecaster
from query_api.context import AppContext
from query_api.errors import BadRequestError
from query_api.money import pico_of, usd_text
from query_api.store.queries.alerts import CrossedThresholds
from query_api.store.queries.budget_states import FindGroups, GroupState
from query_api.store.queries.spend import SumSpend, UnpricedByGroup
from query_api.times import SECOND_US, iso

UNPRICED_GROUPS_MAX: Final = 10_000
"""Maximum number of groups, those with the most calls without a price, that are looked for."""


class ForecastOut(msgspec.Struct, kw_only=True):
    spend_usd: str
    """Expected spend at the end of the period."""
    exceeds_limit: bool
    limit_reached_at: str | None
    """When the spend will reach the limit in this way, if that is before the period's end; null if
    it has reached it, because `GET /v1/alerts` has the time."""
    method: str
    """`linear` or `hour_of_week`; `linear` also if there was no spend in the last four weeks."""


class GroupStatus(msgspec.Struct, kw_only=True):
    group: dict[str, str]
    tier: str | UnsetType = UNSET
    spent_usd: str
    unpriced: int | UnsetType = UNSET
    """Number of calls of the group without a known price; its spend does not include them."""
    limit_usd: str | None
    remaining_usd: str | None
    share: float | None
    """Spend as a fraction of the limit."""
    crossed: list[float]
    forecast: ForecastOut | UnsetType = UNSET
    incomplete: bool
    updated_at: str | None


class LimitStatus(msgspec.Struct, kw_only=True):
    name: str
    period: str
    period_start: str | None
    period_end: str | None
    spent_usd: str
    """Spend of all groups."""
    unpriced: int = 0
    """Number of calls of the period without a known price; no spend includes them."""
    limit_usd: str | UnsetType = UNSET
    remaining_usd: str | UnsetType = UNSET
    crossed: list[float] | UnsetType = UNSET
    forecast: ForecastOut | UnsetType = UNSET
    group_count: int | UnsetType = UNSET
    groups: list[GroupStatus] | UnsetType = UNSET
    """Groups with the largest shares of their limits."""
    incomplete: bool | UnsetType = UNSET
    updated_at: str | UnsetType | None = UNSET


class BudgetStatus(msgspec.Struct, kw_only=True):
    budget_id: str
    name: str
    spent_usd: str | UnsetType = UNSET
    """This member and the others of a limit are absent if the budget has ``limits``."""
    unpriced: int | UnsetType = UNSET
    """Number of calls of the period without a known price; no spend includes them."""
    limit_usd: str | UnsetType = UNSET
    remaining_usd: str | UnsetType = UNSET
    """Negative if spend exceeds the limit."""
    period_start: str | UnsetType | None = UNSET
    period_end: str | UnsetType | None = UNSET
    crossed: list[float] | UnsetType = UNSET
    """Thresholds that were crossed in this period."""
    forecast: ForecastOut | UnsetType = UNSET
    group_by: list[str] | UnsetType = UNSET
    group_count: int | UnsetType = UNSET
    groups: list[GroupStatus] | UnsetType = UNSET
    """Groups with the largest shares of their limits."""
    incomplete: bool | UnsetType = UNSET
    """Whether spend may be missing: from before the evaluation began, or of events that were
    accepted and are not processed yet, such as during an outage of the store."""
    updated_at: str | UnsetType | None = UNSET
    limits: list[LimitStatus] | UnsetType = UNSET


class Spent(msgspec.Struct):
    spent: str
    unpriced: int


class Unpriced(msgspec.Struct):
    group: list[str]
    unpriced: int


class Crossed(msgspec.Struct):
    threshold: str


def group_of(budget: Budget, texts: list[str]) -> str | None:
    """Return the group that ``dimension:value`` pairs name, as JSON; None without pairs.

    Raises:
        BadRequestError: they do not name each dimension of ``group_by`` once.
    """
    if not texts:
        return None
    pairs = dict(_pair_of(budget, text) for text in texts)
    if sorted(pairs) != list(budget.group_by) or len(pairs) != len(texts):
        wanted = " and ".join(f"group={name}:…" for name in budget.group_by)
        message = f"group: must be {wanted}" if wanted else "group: the budget has no group_by"
        raise BadRequestError(message, field="group", allowed=budget.group_by)
    return group_text(pairs)


def _pair_of(budget: Budget, text: str) -> tuple[str, str]:
    """Return the dimension and the value; with one dimension, its name may be left out."""
    name, separator, value = text.partition(":")
    name = REGISTRY.name_of(name)
    is_named = separator and any(name == each.name for each in REGISTRY.of_spend())
    if len(budget.group_by) == 1 and not is_named:
        return budget.group_by[0], text
    return name, value


async def status_of(
    context: AppContext, budget: Budget, group: str | None, groups_max: int, now_us: int
) -> BudgetStatus:
    """Return the status of a budget in its current periods.

    Raises:
        UnavailableError, TooCostlyError: like ``Reader.rows``.
    """
    usual = await forecaster(context, budget, now_us // SECOND_US)
    limits = await asyncio.gather(
        *(
            _limit_status(context, budget, each, group, groups_max, now_us, usual)
            for each in budget.all_limits()
        )
    )
    group_by = list(budget.group_by) or UNSET
    if budget.limits:
        return BudgetStatus(
            budget_id=budget.id, name=budget.name, group_by=group_by, limits=list(limits)
        )
    fields = msgspec.structs.asdict(limits[0])
    del fields["name"], fields["period"]
    return BudgetStatus(budget_id=budget.id, name=budget.name, group_by=group_by, **fields)


async def _limit_status(
    context: AppContext,
    budget: Budget,
    limit: BudgetLimit,
    group: str | None,
    groups_max: int,
    now_us: int,
    usual: Forecaster,
) -> LimitStatus:
    start_us, end_us = period_bounds(limit.period, budget.time_zone, now_us)
    found = FindGroups(budget.project_id, budget.id, limit.name, start_us, groups_max, group)
    status = LimitStatus(
        name=limit.name,
        period=limit.period,
        period_start=iso(start_us) if start_us else None,
        period_end=iso(end_us) if end_us < FOREVER_US else None,
        spent_usd="0",
    )
    decisions = context.decisions
    is_partial = decisions is not None and decisions.states.is_partial((budget.id, limit.name))
    if not budget.group_by:
        status.incomplete = is_partial
        await _add_single(context, budget, limit, status, (start_us, end_us), now_us, usual)
        return status
    spend = _spend_of(budget, limit, (start_us, end_us), now_us)
    (rows, totals), spent = await asyncio.gather(
        read_groups(context, found, limit.period), context.reader.row(spend, Spent)
    )
    status.unpriced = spent.unpriced if spent else 0
    bounds_us = (start_us, end_us)
    groups = [_group(context, budget, limit, row, bounds_us, now_us, usual) for row in rows]
    groups.sort(key=_largest_first)
    status.groups = groups[:groups_max]
    if group is not None and not rows:
        none = GroupState(
            group=group, tier="", spent="0", limit_usd="0", crossed=[], incomplete=0, updated_us=0
        )
        status.groups = [_group(context, budget, limit, none, bounds_us, now_us, usual)]
    if group is not None:
        of_group = tuple(msgspec.json.decode(group, type=dict[str, str]).items())
        spent = await context.reader.row(replace(spend, group=of_group), Spent)
        status.groups[0].unpriced = spent.unpriced if spent else 0
    else:
        await _add_unpriced(context, budget, spend, status.unpriced, status.groups)
    for each in status.groups:
        each.incomplete = each.incomplete or is_partial
    if totals is not None:
        status.spent_usd = usd_text(pico_of(totals.spent))
        status.group_count = totals.groups
        status.incomplete = is_partial or bool(totals.incomplete)
        status.updated_at = iso(totals.updated_us) if totals.updated_us else None
    return status


async def _add_unpriced(
    context: AppContext,
    budget: Budget,
    spend: SumSpend,
    unpriced: int,
    groups: Sequence[GroupStatus],
) -> None:
    """Add the calls without a price, of which there are ``unpriced`` in all groups together."""
    found: dict[tuple[str, ...], int] = {}
    if unpriced:
        query = UnpricedByGroup(
            spend.project_id,
            spend.from_s,
            spend.to_s,
            tuple(budget.group_by),
            spend.scope,
            UNPRICED_GROUPS_MAX,
        )
        rows = await context.reader.rows(query, Unpriced)
        found = {tuple(row.group): row.unpriced for row in rows}
    for each in groups:
        each.unpriced = found.get(tuple(each.group[name] for name in budget.group_by), 0)


async def _add_single(
    context: AppContext,
    budget: Budget,
    limit: BudgetLimit,
    status: LimitStatus,
    bounds_us: tuple[int, int],
    now_us: int,
    usual: Forecaster,
) -> None:
    """Add the status of a limit without groups: its state, or the sum of the stored spend."""
    start_us, _ = bounds_us
    query = FindGroups(budget.project_id, budget.id, limit.name, start_us, 1, group_text({}))
    spend = _spend_of(budget, limit, bounds_us, now_us)
    state, spent, alerts = await asyncio.gather(
        read_single(context, query, limit.period),
        context.reader.row(spend, Spent),
        context.reader.rows(CrossedThresholds(budget.project_id, budget.id, start_us), Crossed),
    )
    status.unpriced = spent.unpriced if spent else 0
    limit_pico = limit.limit_pico or 0
    if state is not None and not state.incomplete:
        spent_pico = pico_of(state.spent)
        alerted = {Decimal(threshold) for threshold in state.crossed}
    else:
        spent_pico = max(
            pico_of(spent.spent) if spent else 0, pico_of(state.spent) if state is not None else 0
        )
        alerted = {Decimal(alert.threshold) for alert in alerts}
    reached = [
        threshold
        for threshold in map(Decimal, budget.thresholds)
        if threshold in alerted or spent_pico >= threshold * limit_pico
    ]
    status.spent_usd = usd_text(spent_pico)
    status.limit_usd = usd_text(limit_pico)
    status.remaining_usd = usd_text(limit_pico - spent_pico)
    status.crossed = [float(threshold) for threshold in reached]
    if budget.forecast:
        status.forecast = _forecast(limit, spent_pico, limit_pico, bounds_us, now_us, usual)


def _largest_first(group: GroupStatus) -> tuple[float, int, str]:
    return -(group.share or 0.0), -pico_of(group.spent_usd), group_text(group.group)


def _spend_of(
    budget: Budget, limit: BudgetLimit, bounds_us: tuple[int, int], now_us: int
) -> SumSpend:
    """Return the query of the stored spend of a limit in its period."""
    start_us, end_us = bounds_us
    rolling = rolling_us(limit.period)
    from_us = (now_us - rolling) // QUARTER_US * QUARTER_US if rolling else start_us
    return SumSpend(
        budget.project_id,
        from_us // SECOND_US,
        end_us // SECOND_US,
        tuple(sorted(budget.scope.items())),
    )


def _group(
    context: AppContext,
    budget: Budget,
    limit: BudgetLimit,
    row: GroupState,
    bounds_us: tuple[int, int],
    now_us: int,
    usual: Forecaster,
) -> GroupStatus:
    group: Mapping[str, str] = msgspec.json.decode(row.group, type=dict[str, str])
    user_id = group.get(USER, "")
    tier, limit_pico = limit_of_group(
        limit, user_id, context.tiers.book.tier_of(budget.project_id, user_id), row.tier
    )
    spent_pico = pico_of(row.spent)
    return GroupStatus(
        group=dict(group),
        tier=tier or UNSET,
        spent_usd=usd_text(spent_pico),
        limit_usd=usd_text(limit_pico) if limit_pico else None,
        remaining_usd=usd_text(limit_pico - spent_pico) if limit_pico else None,
        share=round(spent_pico / limit_pico, 6) if limit_pico else None,
        crossed=[
            float(each)
            for each in budget.thresholds
            if limit_pico and spent_pico >= Decimal(each) * limit_pico
        ],
        forecast=_forecast(limit, spent_pico, limit_pico, bounds_us, now_us, usual)
        if budget.forecast and limit_pico
        else UNSET,
        incomplete=bool(row.incomplete),
        updated_at=iso(row.updated_us) if row.updated_us else None,
    )


def _forecast(
    limit: BudgetLimit,
    spent_pico: int,
    limit_pico: int,
    bounds_us: tuple[int, int],
    now_us: int,
    usual: Forecaster,
) -> ForecastOut | UnsetType:
    if not has_end(limit.period):
        return UNSET
    start_us, end_us = bounds_us
    expected_pico = usual.expected_pico(spent_pico, start_us, end_us, now_us)
    at_us = None
    if spent_pico < limit_pico:
        at_us = usual.reached_at_us(spent_pico, limit_pico, start_us, end_us, now_us)
    return ForecastOut(
        spend_usd=usd_text(expected_pico),
        exceeds_limit=expected_pico > limit_pico,
        limit_reached_at=None if at_us is None else iso(at_us),
        method=usual.method,
    )
