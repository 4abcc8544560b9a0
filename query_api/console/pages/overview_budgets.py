"""Show the budgets on the overview, which loads them after the page."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from producers.control.kinds.budget import Budget
from query_api.console.page import Page, View
from query_api.console.pages.budgets import row_with_burn_downs
from query_api.console.responses import see_other

BUDGETS: Final = 5
"""Budgets that are shown, the newest first."""


async def show(view: View) -> Response:
    """Show the newest budgets with their spend; browsers without htmx are led to all of them."""
    if not view.is_part:
        return see_other(view.path("budgets"))
    budgets = sorted(
        view.context.control.view.in_project(Budget, view.project_id).values(),
        key=lambda each: (-each.created_us, each.id),
    )
    rows = await asyncio.gather(*(row_with_burn_downs(view, each) for each in budgets[:BUDGETS]))
    return view.render("overview_budgets.html", rows=rows, more=len(budgets) - len(rows))


REGISTERED = (Page("/overview/budgets", show),)
