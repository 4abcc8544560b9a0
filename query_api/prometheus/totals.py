"""Read what the metrics of a project are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Final

import msgspec

from producers.budgets.groups import group_text
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.budget import Budget
from query_api.context import AppContext
from query_api.money import usd_number
from query_api.prometheus.families import ProjectTotals
from query_api.prometheus.queries import (
    BudgetGroup,
    CountFiring,
    FindBudgetGroups,
    FindRecentCalls,
    FiringRule,
    ModelTotals,
    RecentCalls,
    SumModels,
)
from query_api.store.levels import Levels, levels_of
from query_api.store.queries.windows import ReadWindows
from query_api.store.steps import Runs
from query_api.store.window_measures import OF_CACHES
from query_api.times import SECOND_US
from query_api.v1.caches import CacheTotals

HOUR_S: Final = 3_600


class _CacheRow(msgspec.Struct):
    tokens: dict[str, int]
    cache_exact: int
    cache_semantic: int
    cache_miss: int
    cached_saved_usd: str
    app_saved_usd: str


async def totals_of(context: AppContext, project_id: str, at_us: int) -> ProjectTotals:
    """Return the totals of a project at a time. Raises like ``Reader.rows``."""
    reader, settings = context.reader, context.settings
    # Windows of the near future are from clients whose clocks are ahead.
    to_s = at_us // SECOND_US // HOUR_S * HOUR_S + 2 * HOUR_S
    levels = await levels_of(reader, project_id, 0, to_s, (0, to_s))
    models = SumModels(project_id, levels or Levels(windows=((0, to_s),)))
    since_us = at_us - settings.metrics_active_max_s * SECOND_US
    budgets = context.control.view.in_project(Budget, project_id)
    groups = FindBudgetGroups(
        project_id, at_us, tuple(sorted(budgets)), settings.metrics_budget_groups_max
    )
    rules = context.control.view.in_project(AlertRule, project_id)
    firing = await reader.rows(CountFiring(project_id, settings.metrics_rules_max), FiringRule)
    return ProjectTotals(
        project_id,
        await reader.rows(models, ModelTotals),
        await reader.rows(FindRecentCalls(project_id, since_us), RecentCalls),
        CacheTotals.of(await reader.rows(_last_hour(project_id, to_s, at_us), _CacheRow)).shown(),
        _named(
            budgets,
            await reader.rows(groups, BudgetGroup) if budgets else (),
            settings.metrics_budget_groups_max,
        ),
        [(rules[each.rule_id].name, each) for each in firing if each.rule_id in rules],
    )


def _named(
    budgets: Mapping[str, Budget], found: Sequence[BudgetGroup], groups_max: int
) -> list[tuple[str, BudgetGroup]]:
    """Return groups with the names of their budgets, and limits for which nothing was spent yet."""
    with_spend = {(each.budget_id, each.limit_name) for each in found}
    unspent = (
        BudgetGroup(
            budget_id=budget.id,
            limit_name=limit.name,
            period=limit.period,
            group=group_text({}),
            spent_usd=0.0,
            limit_usd=usd_number(limit.limit_pico),
        )
        for budget in budgets.values()
        if not budget.group_by
        for limit in budget.all_limits()
        if limit.limit_pico is not None and (budget.id, limit.name) not in with_spend
    )
    every = islice(chain(found, unspent), groups_max)
    return [(budgets[each.budget_id].name, each) for each in every]


def _last_hour(project_id: str, to_s: int, at_us: int) -> ReadWindows:
    from_s = at_us // SECOND_US // 60 * 60 - HOUR_S
    run = Runs(to_s - from_s, (from_s,), (from_s,))
    return ReadWindows(project_id, from_s, to_s, run, measures=OF_CACHES)
