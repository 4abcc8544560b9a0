"""Draw what a budget would have done: the spend of its groups against their limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from producers.control.kinds.budget import USER
from query_api.console.formats import Formats
from query_api.console.line_charts import LineChart, LineSeries, line_chart
from query_api.money import pico_of
from query_api.times import SECOND_US, instant_us
from query_api.v1.budget_backtests import BudgetBacktestOut, SpendSeriesOut

EVENTS_SHOWN: Final = 100
NO_LIMIT_PICO: Final = 2**63 - 1
"""A limit that no spend reaches: the preview of a form without a limit shows the spend."""


@dataclass(frozen=True, slots=True)
class BacktestEvent:
    """An event that the budget would have reported."""

    type: str
    at_us: int
    group: Mapping[str, str]
    limit_name: str
    spent_pico: int
    limit_pico: int
    threshold: float | None


@dataclass(frozen=True, slots=True)
class PastShown:
    """A backtest as the preview shows it."""

    chart: LineChart
    shown: Callable[[float], str]
    """Formats a value of the chart: dollars, or shares of different limits."""
    level_names: Sequence[str]
    events: Sequence[BacktestEvent]
    event_count: int
    groups: int
    groups_evaluated: int
    not_evaluated: Sequence[str]
    highest_pico: int
    """Highest spend of a period."""
    has_limit: bool
    is_by_user: bool
    """Whether a line without a name is the spend of calls without a user."""
    until_us: int
    """The end of the last quarter of an hour of the range."""


def past_shown(past: BudgetBacktestOut, thresholds: Sequence[str], formats: Formats) -> PastShown:
    """Return the chart of a backtest: amounts if all groups have one limit, or else shares."""
    from_s, to_s = (instant_us(each) // SECOND_US for each in (past.from_, past.to))
    limits = {pico_of(each.limit_usd) for each in past.series if each.limit_usd}
    has_limit = limits != {NO_LIMIT_PICO} and bool(limits)
    is_share = len(limits) > 1
    amounts = [_amounts(each, is_share=is_share) for each in past.series]
    levels: list[float] = []
    names: list[str] = []
    if has_limit:
        whole = 1.0 if is_share else float(next(iter(limits)))
        shares = sorted({*map(Decimal, thresholds), Decimal(1)}, reverse=True)
        levels = [float(share) * whole for share in shares]
        names = [formats.percent(float(share)) for share in shares]
    chart = line_chart(
        [
            LineSeries(_name(each), points)
            for each, points in zip(past.series, amounts, strict=True)
        ],
        from_s=from_s,
        to_s=to_s,
        levels=levels,
        marks=[
            (at_s, at_s, "event")
            for each in past.events[:EVENTS_SHOWN]
            for at_s in [instant_us(each.at) // SECOND_US]
        ]
        if has_limit
        else [],
    )
    spent = [pico_of(point.spent_usd) for each in past.series for point in each.points]
    return PastShown(
        chart,
        formats.percent if is_share else lambda value: formats.usd(round(value)),
        [] if is_share else names,
        [
            BacktestEvent(
                each.type,
                instant_us(each.at),
                each.group,
                each.limit_name,
                pico_of(each.spent_usd),
                pico_of(each.limit_usd),
                each.threshold if isinstance(each.threshold, float) else None,
            )
            for each in past.events[:EVENTS_SHOWN]
        ],
        len(past.events),
        past.groups,
        past.groups_evaluated,
        past.not_evaluated,
        max(spent, default=0),
        has_limit,
        any(USER in each.group for each in past.series),
        instant_us(past.to),
    )


def _amounts(series: SpendSeriesOut, *, is_share: bool) -> list[tuple[int, float | None]]:
    limit_pico = pico_of(series.limit_usd) if series.limit_usd else 0
    whole = limit_pico if is_share else 1
    return [
        (instant_us(each.at) // SECOND_US, pico_of(each.spent_usd) / whole if whole else None)
        for each in series.points
    ]


def _name(series: SpendSeriesOut) -> str:
    return " · ".join(filter(None, (series.limit_name, *series.group.values())))
