"""Find the budgets that apply to a user, and the limit that each sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from producers.budgets.groups import limit_of_group
from producers.control.kinds.budget import USER, Budget
from producers.control.periods import QUARTER_US
from query_api.console.page import View
from query_api.console.query_rows import answered_rows
from query_api.times import SECOND_US, iso
from tracemill.clock import now_us

TIER: Final = "user_tier"
TIERS_US: Final = 30 * 86_400 * SECOND_US
"""Time in which traces of users are looked at for their tiers."""
TIERS_MAX: Final = 100
"""Maximum number of tiers of the users of a page, those with the most spend."""


@dataclass(frozen=True, slots=True)
class UserLimit:
    """The first limit of the newest budget that applies to a user.

    One of a user's whole spend comes before those of parts, such as each model.
    """

    budget_name: str
    path: str
    period: str
    limit_pico: int
    """0 if it differs between groups other than users, or by the tier of a trace."""
    more: int
    """Number of other budgets that apply."""


def applies(budget: Budget, user_id: str, tiers: Collection[str]) -> bool:
    """Return whether a budget limits the spend of a user: its scope, or each of its groups.

    ``tiers`` are those of the user's traces, in which a budget of a tier looks for its own.
    """
    if TIER in budget.scope and budget.scope[TIER] not in tiers:
        return False
    if USER in budget.scope:
        return budget.scope[USER] == user_id
    return USER in budget.group_by


async def tiers_of_users(view: View, user_ids: Sequence[str]) -> Mapping[str, Collection[str]]:
    """Return the tiers that traces of the last 30 days have, by user; none if no budget needs them.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    if not user_ids or not any(TIER in each.scope for each in newest_first(view)):
        return {}
    at_us = now_us() // QUARTER_US * QUARTER_US + QUARTER_US
    body = {
        "measures": ["cost_usd"],
        "group_by": [USER, TIER],
        "from": iso(at_us - TIERS_US),
        "to": iso(at_us),
        "filter": {USER: list(user_ids)},
        "top": TIERS_MAX,
    }
    found: dict[str, set[str]] = {}
    for row in await answered_rows(view.context, view.project_id, body, at_us):
        if not row.is_other:
            found.setdefault(row.group[USER], set()).add(row.group[TIER])
    return found


def newest_first(view: View) -> list[Budget]:
    """Return the budgets of the project that concern users, the newest first."""
    found = view.context.control.view.in_project(Budget, view.project_id).values()
    of_users = [each for each in found if USER in each.scope or USER in each.group_by]
    return sorted(of_users, key=lambda each: (-each.created_us, each.id))


async def limits_of(view: View, user_ids: Sequence[str]) -> dict[str, UserLimit]:
    """Return the limits of those users that have any, by user id. Raises: as ``tiers_of_users``."""
    budgets, tiers = newest_first(view), await tiers_of_users(view, user_ids)
    found = {
        user_id: [each for each in budgets if applies(each, user_id, tiers.get(user_id, ()))]
        for user_id in user_ids
    }
    return {user_id: _shown(view, user_id, each) for user_id, each in found.items() if each}


def _shown(view: View, user_id: str, budgets: Sequence[Budget]) -> UserLimit:
    budget = next((each for each in budgets if set(each.group_by) <= {USER}), budgets[0])
    limit = budget.all_limits()[0]
    tier_of: Callable[[str, str], str] = view.context.tiers.book.tier_of
    _, limit_pico = limit_of_group(limit, user_id, tier_of(view.project_id, user_id), "")
    of_whole_user = set(budget.group_by) <= {USER}
    return UserLimit(
        budget.name,
        view.path("budgets", budget.id),
        limit.period,
        limit_pico if of_whole_user else 0,
        len(budgets) - 1,
    )
