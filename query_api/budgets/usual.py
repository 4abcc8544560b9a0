"""Read how a budget's spend is forecast."""

from __future__ import annotations

import msgspec

from producers.budgets.forecast import LINEAR, Forecaster, forecaster_of, history_bounds_s
from producers.control.kinds.budget import Budget
from query_api.context import AppContext
from query_api.store.queries.usual_spend import ReadUsualSpend


class _Hour(msgspec.Struct):
    hour: int
    spent_pico: int


async def forecaster(context: AppContext, budget: Budget, at_s: int) -> Forecaster:
    """Return the forecast of a budget as it was at a time.

    Raises:
        UnavailableError, TooCostlyError: like ``Reader.rows``.
    """
    if budget.forecast != "hour_of_week":
        return LINEAR
    from_s, to_s = history_bounds_s(at_s)
    query = ReadUsualSpend(
        budget.project_id, max(0, from_s), max(0, to_s), tuple(sorted(budget.scope.items()))
    )
    rows = await context.reader.rows(query, _Hour)
    return forecaster_of(budget.forecast, {row.hour: row.spent_pico for row in rows})
