"""Read what the page of a user shows: spend over time and by model, budgets, sessions, traces."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from producers.budgets.groups import group_text
from producers.control.kinds.budget import Budget
from query_api.console.charts import Chart, Color, Series, Step
from query_api.console.page import View
from query_api.console.pages.budgets import BudgetRow, row_of
from query_api.console.query_rows import answered_rows
from query_api.console.time_ranges import PRESETS
from query_api.console.user_budgets import applies, newest_first, tiers_of_users
from query_api.money import PICO_PER_USD, pico_of
from query_api.query.answers import AnswerRow
from query_api.store.columns import TRACE_COLUMNS
from query_api.store.conditions import Condition
from query_api.store.owner_reading import OwnerRow, read_owners
from query_api.store.queries.owners import FindOwners
from query_api.store.queries.traces import FindTraces
from query_api.store.rows import TRACE_CORE, StoredTrace
from query_api.store.trace_reading import find_traces
from query_api.times import SECOND_US, iso
from tracemill.clock import now_us

USER: Final = "user_id"
RANGES: Final[Mapping[str, str]] = {"24h": "1h", "7d": "1d", "30d": "1d"}
"""Ranges of the charts, with their steps."""
MODELS: Final = 5
"""Models that are shown; the others are combined."""
COLORS: Final[tuple[Color, ...]] = ("generation", "agent", "retriever", "tool", "accent")
OTHERS: Final = "others"
"""Name of the series of the other models; the template translates it."""
SESSIONS: Final = 10
TRACES: Final = 10
BUDGETS_MAX: Final = 10
"""Budgets whose status is shown, the newest ones that apply."""


@dataclass(frozen=True, slots=True)
class ModelShare:
    name: str
    cost_pico: int
    calls: int
    errors: int
    unpriced: int
    is_other: bool


@dataclass(frozen=True, slots=True)
class UserData:
    cost: Chart
    models: Sequence[ModelShare]
    budgets: Sequence[BudgetRow]
    sessions: Sequence[OwnerRow]
    traces: Sequence[StoredTrace]


async def read_user(view: View, user_id: str, preset: str, zone: str) -> UserData:
    """Read the charts of a range that ends now, and the latest sessions and traces.

    Raises:
        TooCostlyError, UnavailableError: as ``Reader.rows``.
    """
    context, at_us = view.context, now_us()
    given = {
        "from": iso(at_us - PRESETS[preset] * SECOND_US),
        "time_zone": zone,
        "filter": {USER: [user_id]},
        "measures": ["cost_usd", "count", "errors", "unpriced"],
    }
    by_model = {**given, "group_by": ["model"], "top": MODELS}
    of_user = (Condition(TRACE_COLUMNS["userId"], "eq", user_id),)
    latest = FindTraces(view.project_id, of_user, limit=TRACES)
    of_sessions = (*of_user, Condition(TRACE_COLUMNS["sessionId"], "ne", ""))
    reader = context.reader
    step = {"step": RANGES[preset]}
    steps, parts, models, budgets, sessions, traces = await asyncio.gather(
        answered_rows(context, view.project_id, given | step, at_us),
        answered_rows(context, view.project_id, by_model | step, at_us),
        answered_rows(context, view.project_id, by_model, at_us),
        _budget_rows(view, user_id),
        read_owners(reader, FindOwners(view.project_id, "session_id", of_sessions, limit=SESSIONS)),
        find_traces(reader, latest, TRACE_CORE),
    )
    shares = _models(models)
    chart = _chart(view, steps, parts, [each.name for each in shares if not each.is_other])
    return UserData(chart, shares, budgets, sessions, traces)


async def _budget_rows(view: View, user_id: str) -> list[BudgetRow]:
    tiers = await tiers_of_users(view, [user_id])
    budgets = _budgets(view, user_id, tiers.get(user_id, ()))
    return await asyncio.gather(*(row_of(view, *each) for each in budgets))


def _budgets(view: View, user_id: str, tiers: Collection[str]) -> list[tuple[Budget, str | None]]:
    """Return the newest budgets that apply, with the group of the user.

    The group is None if the budget is not grouped by user alone.
    """
    group = group_text({USER: user_id})
    found = [each for each in newest_first(view) if applies(each, user_id, tiers)]
    return [
        (each, group if tuple(each.group_by) == (USER,) else None) for each in found[:BUDGETS_MAX]
    ]


def _chart(
    view: View, rows: Sequence[AnswerRow], parts: Sequence[AnswerRow], models: Sequence[str]
) -> Chart:
    """Return the cost of each step, of the models together and of each."""
    steps = [
        Step(
            view.formats.time((row.start_s or 0) * SECOND_US),
            (row.start_s or 0) * SECOND_US,
            (row.end_s or 0) * SECOND_US,
        )
        for row in rows
    ]
    of_model: dict[tuple[int | None, str], int] = {}
    for row in parts:
        name = row.group.get("model", "")
        if not row.is_other and name in models:
            of_model[row.start_s, name] = pico_of(row.values["cost_usd"] or "0")
    series = [
        Series(name, [_usd(of_model.get((row.start_s, name), 0)) for row in rows], "stacked", color)
        for name, color in zip(models, COLORS, strict=False)
    ]
    shown = [each.name for each in series]
    rest = [
        pico_of(row.values["cost_usd"] or "0")
        - sum(of_model.get((row.start_s, name), 0) for name in shown)
        for row in rows
    ]
    if any(rest) or not series:
        series.append(Series(OTHERS, [_usd(max(0, each)) for each in rest], "stacked", "span"))
    return Chart("usd", steps, series, has_zoom=False)


def _usd(pico: int) -> float:
    return pico / PICO_PER_USD


def _models(rows: Sequence[AnswerRow]) -> list[ModelShare]:
    found = [
        ModelShare(
            row.group.get("model", ""),
            pico_of(row.values["cost_usd"] or "0"),
            row.values["count"] or 0,
            row.values["errors"] or 0,
            row.values["unpriced"] or 0,
            row.is_other,
        )
        for row in rows
    ]
    # Steps without a model, such as tools, cost nothing.
    priced = [each for each in found if each.cost_pico or each.name]
    return sorted(priced, key=lambda each: (each.is_other, -each.cost_pico))
