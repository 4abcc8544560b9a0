"""List budgets, show one with its history, and create and change them with a preview."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from producers.control.kinds.budget import Budget
from query_api.budgets.burn_down import burn_down_of_status
from query_api.budgets.records import shown_budget
from query_api.budgets.status import BudgetStatus, group_of, status_of
from query_api.budgets.usual import forecaster
from query_api.console import budget_forms
from query_api.console.budget_charts import NO_LIMIT_PICO, PastShown, past_shown
from query_api.console.burn_down_charts import BurnDownShown, burn_downs_of, burn_downs_shown
from query_api.console.edit_forms import save, status_of_refusal, with_version
from query_api.console.form_bodies import Faults, faults_of, of_fields
from query_api.console.optional import Optional, optional
from query_api.console.page import Action, Page, View
from query_api.console.previews import latest_preview
from query_api.console.record_lists import record_page
from query_api.console.responses import see_other
from query_api.console.search import term
from query_api.console.time_ranges import PRESETS
from query_api.errors import BadRequestError, ConflictError, TooCostlyError
from query_api.money import usd_text
from query_api.times import SECOND_US, instant_us
from query_api.v1.alerts import AlertParameters, read_alerts
from query_api.v1.budget_backtests import BudgetBacktestBody, BudgetBacktestOut, backtest_budget
from query_api.v1.budgets import RESOURCE
from query_api.v1.records import find, records_of
from tracemill.clock import now_us

ROWS: Final = 20
GROUPS: Final = 20
HISTORY: Final = 50
RANGE_OF_PERIOD: Final[Mapping[str, str]] = {"hour": "24h", "day": "7d"}
"""Range of the chart by period; of others, 30 days."""
PREVIEW_RANGES: Final = ("24h", "7d", "30d")
SEARCH_FIELDS: Final[Mapping[str, str]] = {
    "user_id": "user",
    "session_id": "session",
    "environment": "env",
    "trace_name": "name",
    "tags": "tag",
}
"""Fields of the search of traces, by dimension."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The status of one limit of a budget in its current period; amounts are texts of dollars."""

    values: Mapping[str, Any]
    elapsed: float | None
    """Part of the period that has passed; None if it has no end."""

    @property
    def share(self) -> float | None:
        """Return the spent part of the limit; None if groups have limits of their own."""
        limit = self.values.get("limit_usd")
        return float(self.values["spent_usd"]) / float(limit) if limit else None


@dataclass(frozen=True, slots=True)
class BudgetRow:
    budget: Budget
    path: str
    limits: tuple[Limit, ...]


async def show_list(view: View) -> Response:
    """Show a page of budgets with their status."""
    page = record_page(view, RESOURCE, ROWS)
    rows = await asyncio.gather(*(row_of(view, each) for each in page.records))
    return view.render("budgets.html", rows=rows, page=page)


async def show_one(view: View) -> Response:
    """Show a budget: its status by group, its spend over time, and what it has reported."""
    budget = _found(view)
    preset = view.parameter("range")
    if preset not in PREVIEW_RANGES:
        preset = RANGE_OF_PERIOD.get(budget.period, "30d")
    group = group_of(budget, view.request.query_params.getlist("group"))
    row, burn_downs, past, (alerts, _) = await asyncio.gather(
        row_of(view, budget),
        burn_downs_of(view, budget, group),
        _past(view, preset, budget_id=budget.id),
        read_alerts(
            view.context, view.project_id, AlertParameters(budget_id=budget.id, limit=HISTORY)
        ),
    )
    return view.render(
        "budget.html",
        budget=budget,
        shown=optional(shown_budget(budget)),
        row=row,
        past=past_shown(past, budget.thresholds, view.formats),
        preset=preset,
        presets=PREVIEW_RANGES,
        history=optional(alerts),
        traces=traces_of,
        burn_downs=burn_downs,
        chosen={name: each.found.group for name, each in burn_downs.items()},
        of_group=lambda group: f"?{urlencode([('group', f'{k}:{v}') for k, v in group.items()])}",
    )


async def show_new(view: View) -> Response:
    """Show the form of a new budget; the query string can fill in its fields."""
    form = budget_forms.new_form(view.request.query_params, view.preferences.zone_name)
    return await _form(view, form)


async def show_edit(view: View) -> Response:
    """Show the form of a budget."""
    budget = _found(view)
    return await _form(view, with_version(budget_forms.form_of_budget(budget), budget), budget)


async def create(view: View) -> Response:
    """Create the budget of a form."""
    author = view.session.principal.public_key
    try:
        body = budget_forms.budget_body(view.form)
        made = await records_of(view.context, RESOURCE).create(view.project_id, body, author)
    except (BadRequestError, ConflictError) as error:
        return await _form(view, view.form, faults=_faults(error), status=422)
    return see_other(view.path("budgets", made.id))


async def change(view: View) -> Response:
    """Replace a budget by that of a form."""
    budget = _found(view)
    try:
        body = budget_forms.budget_body(view.form)
        await save(view, records_of(view.context, RESOURCE).replace, budget, body)
    except BadRequestError as error:
        return await _form(view, view.form, budget, _faults(error), status=status_of_refusal(error))
    return see_other(view.path("budgets", budget.id))


async def delete(view: View) -> Response:
    """Delete a budget."""
    await records_of(view.context, RESOURCE).delete(view.project_id, _found(view).id)
    return see_other(view.path("budgets"))


async def preview(view: View) -> Response:
    """Show what the budget of a form would have done, without creating it."""
    found = await latest_preview(view, _preview(view, view.form))
    if found is None:
        return Response(status_code=204)
    past, faults = found
    if view.is_part:
        fields = budget_forms.FIELDS
        return view.render("budget_preview.html", past=past, faults=faults, fields=fields)
    record_id = view.form.get("record_id", "")
    budgets = view.context.control.view.in_project(Budget, view.project_id)
    return await _form(view, view.form, budgets.get(record_id), faults, past)


async def _preview(view: View, form: Mapping[str, str]) -> tuple[PastShown | None, Faults]:
    """Return the backtest of a form, or why there is none."""
    given = dict(form)
    if not any(given.get(name, "").strip() for name in ("limit_usd", "tiers", "limits")):
        given["limit_usd"] = usd_text(NO_LIMIT_PICO)
    given["name"] = given.get("name", "").strip() or "-"
    preset = given.get("preview_range", "")
    try:
        body = budget_forms.budget_body(given)
        past = await _past(view, preset if preset in PREVIEW_RANGES else "7d", budget=body)
    except (BadRequestError, TooCostlyError) as error:
        return None, _faults(error)
    return past_shown(past, body.thresholds, view.formats), {}


async def _past(view: View, preset: str, **of: Any) -> BudgetBacktestOut:
    at_us = now_us()
    from_us = at_us - PRESETS[preset] * SECOND_US
    body = BudgetBacktestBody.model_construct(from_us=from_us, to_us=at_us, **of)
    return await backtest_budget(view.context, view.project_id, body)


async def _form(
    view: View,
    form: Mapping[str, str],
    budget: Budget | None = None,
    faults: Faults | None = None,
    past: PastShown | None = None,
    *,
    status: int = 200,
) -> Response:
    return view.render(
        "budget_form.html",
        status=status,
        budget=budget,
        values=form,
        faults=faults or {},
        past=past,
        fields=budget_forms.FIELDS,
        dimensions=budget_forms.DIMENSIONS,
        periods=budget_forms.PERIODS,
        forecasts=budget_forms.FORECASTS,
        preview_ranges=PREVIEW_RANGES,
    )


async def row_of(view: View, budget: Budget, group: str | None = None) -> BudgetRow:
    """Return a budget with the status of its limits, of all groups or of one."""
    at_us = now_us()
    return _row(view, budget, await status_of(view.context, budget, group, GROUPS, at_us), at_us)


async def row_with_burn_downs(
    view: View, budget: Budget
) -> tuple[BudgetRow, Mapping[str, BurnDownShown]]:
    """Return a budget as ``row_of`` does, and its burn-downs by the names of its limits."""
    at_us = now_us()
    status, usual = await asyncio.gather(
        status_of(view.context, budget, None, GROUPS, at_us),
        forecaster(view.context, budget, at_us // SECOND_US),
    )
    found = await burn_down_of_status(view.context, budget, status, usual, at_us)
    return _row(view, budget, status, at_us), burn_downs_shown(view, found)


def _row(view: View, budget: Budget, found: BudgetStatus, at_us: int) -> BudgetRow:
    status = optional(found)
    limits = status["limits"] or [Optional({**status, "period": budget.period, "name": ""})]
    return BudgetRow(
        budget,
        view.path("budgets", budget.id),
        tuple(Limit(each, _elapsed(each, at_us)) for each in limits),
    )


def _elapsed(limit: Mapping[str, Any], at_us: int) -> float | None:
    if not limit.get("period_start") or not limit.get("period_end"):
        return None
    start_us, end_us = instant_us(limit["period_start"]), instant_us(limit["period_end"])
    return min(1.0, max(0.0, (at_us - start_us) / (end_us - start_us)))


def traces_of(scope: Mapping[str, str]) -> str:
    """Return the query string of the traces whose spend is in a scope or a group."""
    terms = [
        term(SEARCH_FIELDS[name], each) for name, each in scope.items() if name in SEARCH_FIELDS
    ]
    return f"?{urlencode({'q': ' '.join(terms)})}" if terms else ""


def _found(view: View) -> Budget:
    return find(view.context, Budget, view.project_id, view.request.path_params["budget_id"])


def _faults(error: BadRequestError | ConflictError | TooCostlyError) -> Faults:
    faults = faults_of(error, "budget.")
    return of_fields(faults, budget_forms.FIELDS)


REGISTERED = (
    Page("/budgets", show_list, title="Budgets", group="alerting", place=20),
    Page("/budgets/new", show_new, scope="write"),
    Page("/budgets/{budget_id}", show_one),
    Page("/budgets/{budget_id}/edit", show_edit, scope="write"),
    Action("/budgets/new", create),
    Action("/budgets/preview", preview),
    Action("/budgets/{budget_id}/edit", change),
    Action("/budgets/{budget_id}/delete", delete),
)
