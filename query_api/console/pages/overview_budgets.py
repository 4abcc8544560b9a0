"""Show the budgets on the overview, which loads them after the page."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from producers.control.kinds.budget import Budget
from query_api.console.burn_down_charts import burn_downs_of
from query_api.console.page import Page, View
from query_api.console.pages.budgets import row_of
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
    shown = budgets[:BUDGETS]
    rows, burn_downs = await asyncio.gather(
        asyncio.gather(*(row_of(view, each) for each in shown)),
        asyncio.gather(*(burn_downs_of(view, each) for each in shown)),
    )
    return view.render(
        "overview_budgets.html",
        rows=list(zip(rows, burn_downs, strict=True)),
        more=len(budgets) - len(rows),
    )


REGISTERED = (Page("/overview/budgets", show),)
