"""Read how the spend of a budget grew in its current period, with the forecast to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from producers.budgets.forecast import Forecaster
from producers.control.kinds.budget import Budget, BudgetLimit
from producers.control.periods import QUARTER_US
from query_api.budgets.status import BudgetStatus, LimitStatus, status_of
from query_api.budgets.usual import forecaster
from query_api.context import AppContext
from query_api.money import pico_of, usd_text
from query_api.store.queries.spend import SpendOverPeriod
from query_api.times import SECOND_US, instant_us, iso

STEPS_MAX: Final = 96
"""Maximum number of steps of a period."""


class BurnDownPoint(msgspec.Struct, gc=False):
    at: str
    spent_usd: str
    """Spend since the start of the period."""


class BurnDown(msgspec.Struct, kw_only=True):
    limit_name: str
    period: str
    period_start: str
    period_end: str
    time_zone: str
    group: dict[str, str]
    """Empty if the budget has no `group_by`, or no group has spent anything."""
    spent_usd: str
    limit_usd: str | None
    thresholds: list[float]
    points: list[BurnDownPoint]
    """From the start of the period until now."""
    forecast: list[BurnDownPoint]
    """From now to the end of the period."""
    method: str
    """`linear` or `hour_of_week`, as in the status."""
    unpriced: int
    """Number of calls of the period, of all groups, without a known price."""


class BurnDownList(msgspec.Struct):
    data: list[BurnDown]


class _Spent(msgspec.Struct):
    step: int
    spent: str


async def burn_down_of(
    context: AppContext, budget: Budget, group: str | None, at_us: int
) -> list[BurnDown]:
    """Return the current period of each limit whose periods have an end.

    ``group`` is one as JSON (``query_api.budgets.status.group_of``); None: of a budget with groups,
    that with the largest share of its limit.

    Raises:
        UnavailableError, TooCostlyError: like ``Reader.rows``.
    """
    status, usual = await asyncio.gather(
        status_of(context, budget, group, 1, at_us),
        forecaster(context, budget, at_us // SECOND_US),
    )
    return await burn_down_of_status(context, budget, status, usual, at_us)


async def burn_down_of_status(
    context: AppContext, budget: Budget, status: BudgetStatus, usual: Forecaster, at_us: int
) -> list[BurnDown]:
    """Return the same for a status that was read before."""
    statuses: Sequence[LimitStatus | BudgetStatus] = (
        [status] if status.limits is UNSET else status.limits
    )
    found = await asyncio.gather(
        *(
            _burn_down(context, budget, limit, each, usual, at_us)
            for limit, each in zip(budget.all_limits(), statuses, strict=True)
        )
    )
    return [each for each in found if each is not None]


async def _burn_down(
    context: AppContext,
    budget: Budget,
    limit: BudgetLimit,
    status: LimitStatus | BudgetStatus,
    usual: Forecaster,
    at_us: int,
) -> BurnDown | None:
    if not status.period_start or not status.period_end:
        return None
    start_us, end_us = instant_us(status.period_start), instant_us(status.period_end)
    of: Mapping[str, str] = {}
    spent_usd = status.spent_usd
    limit_usd = None if status.limit_usd is UNSET else status.limit_usd
    if budget.group_by:
        first = status.groups[0] if status.groups else None
        of = first.group if first else {}
        spent_usd, limit_usd = (first.spent_usd, first.limit_usd) if first else ("0", None)
    assert spent_usd is not UNSET
    spent_pico = pico_of(spent_usd)
    step_us = -(-(end_us - start_us) // STEPS_MAX // QUARTER_US) * QUARTER_US
    query = SpendOverPeriod(
        budget.project_id,
        start_us // SECOND_US,
        end_us // SECOND_US,
        step_us // SECOND_US,
        tuple(sorted(budget.scope.items())),
        tuple(sorted(of.items())),
    )
    is_known = not budget.group_by or bool(of)
    rows = await context.reader.rows(query, _Spent) if is_known else []
    return BurnDown(
        limit_name=limit.name,
        period=limit.period,
        period_start=status.period_start,
        period_end=status.period_end,
        time_zone=budget.time_zone,
        group=dict(of),
        spent_usd=spent_usd,
        limit_usd=limit_usd,
        thresholds=[float(each) for each in budget.thresholds],
        points=_points({row.step: row.spent for row in rows}, start_us, step_us, at_us, spent_pico),
        forecast=[
            BurnDownPoint(
                iso(to_us), usd_text(_expected(usual, spent_pico, start_us, to_us, at_us))
            )
            for to_us in _times(at_us, start_us, end_us, step_us)
        ],
        method=usual.method,
        unpriced=status.unpriced or 0,
    )


def _points(
    spent: Mapping[int, str], start_us: int, step_us: int, at_us: int, spent_pico: int
) -> list[BurnDownPoint]:
    """Return the sums at the ends of the steps that are over, and the spend now."""
    points = [BurnDownPoint(iso(start_us), "0")]
    pico = 0
    for step in range((at_us - start_us) // step_us):
        pico += pico_of(spent.get(step, "0"))
        points.append(BurnDownPoint(iso(start_us + (step + 1) * step_us), usd_text(pico)))
    points.append(BurnDownPoint(iso(at_us), usd_text(spent_pico)))
    return points


def _times(at_us: int, start_us: int, end_us: int, step_us: int) -> list[int]:
    """Return now, the ends of the following steps, and the end of the period."""
    first = (at_us - start_us) // step_us + 1
    last = -(-(end_us - start_us) // step_us)
    ends = [start_us + step * step_us for step in range(first, last)]
    return [at_us, *(each for each in ends if at_us < each < end_us), end_us]


def _expected(usual: Forecaster, spent_pico: int, start_us: int, to_us: int, at_us: int) -> int:
    """Return the expected spend at a time, which a forecast of a shorter period has at its end."""
    if to_us <= at_us:
        return spent_pico
    return usual.expected_pico(spent_pico, start_us, to_us, at_us)
