"""Find the budgets that apply to a user, and the limit that each sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from producers.budgets.groups import limit_of_group
from producers.control.kinds.budget import USER, Budget
from query_api.console.page import View


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


def applies(budget: Budget, user_id: str) -> bool:
    """Return whether a budget limits the spend of a user: its scope, or each of its groups."""
    if USER in budget.scope:
        return budget.scope[USER] == user_id
    return USER in budget.group_by


def newest_first(view: View) -> list[Budget]:
    """Return the budgets of the project that concern users, the newest first."""
    found = view.context.control.view.in_project(Budget, view.project_id).values()
    of_users = [each for each in found if USER in each.scope or USER in each.group_by]
    return sorted(of_users, key=lambda each: (-each.created_us, each.id))


def limits_of(view: View, user_ids: Iterable[str]) -> dict[str, UserLimit]:
    """Return the limits of those users that have any, by user id."""
    budgets = newest_first(view)
    found = {user_id: [b for b in budgets if applies(b, user_id)] for user_id in user_ids}
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
