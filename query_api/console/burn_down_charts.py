"""Draw how the spend of a budget grew in its period, with its thresholds and the forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from producers.control.kinds.budget import Budget
from query_api.budgets.burn_down import BurnDown, BurnDownPoint, burn_down_of
from query_api.console.formats import Formats
from query_api.console.line_charts import LineChart, LineSeries, line_chart
from query_api.console.page import View
from query_api.money import pico_of
from query_api.times import SECOND_US, instant_us
from tracemill.clock import now_us

SPENT: Final = "spent"
FORECAST: Final = "forecast"
"""Names of the lines, which the template replaces."""


@dataclass(frozen=True, slots=True)
class BurnDownShown:
    """The period of a limit as a chart."""

    found: BurnDown
    chart: LineChart
    level_names: Sequence[str]
    """The thresholds, the highest first."""
    formats: Formats
    """Formats of the viewer in the time zone of the budget."""
    is_other_zone: bool
    """Whether this is not the time zone of the viewer."""

    def text(self, value: float) -> str:
        """Return the text of a value of the chart."""
        return self.formats.usd(round(value))


async def burn_downs_of(
    view: View, budget: Budget, group: str | None = None
) -> Mapping[str, BurnDownShown]:
    """Return the charts of a budget by the names of its limits, for ``burn_down_of``.

    Raises:
        UnavailableError, TooCostlyError: like ``Reader.rows``.
    """
    return burn_downs_shown(view, await burn_down_of(view.context, budget, group, now_us()))


def burn_downs_shown(view: View, found: Sequence[BurnDown]) -> Mapping[str, BurnDownShown]:
    """Return the charts of burn-downs by the names of their limits."""
    return {each.limit_name: _shown(view, each) for each in found}


def _shown(view: View, found: BurnDown) -> BurnDownShown:
    preferences = view.preferences
    formats = Formats(replace(preferences, zone_name=found.time_zone))
    levels: list[float] = []
    names: list[str] = []
    if found.limit_usd:
        limit_pico = pico_of(found.limit_usd)
        shares = sorted({*(Decimal(str(each)) for each in found.thresholds), Decimal(1)})[::-1]
        levels = [float(share * limit_pico) for share in shares]
        names = [formats.percent(float(share)) for share in shares]
    now_s = _second(found.points[-1])
    chart = line_chart(
        [
            LineSeries(SPENT, _values(found.points)),
            LineSeries(FORECAST, _values(found.forecast), is_dashed=True, colour=1),
        ],
        from_s=instant_us(found.period_start) // SECOND_US,
        to_s=instant_us(found.period_end) // SECOND_US,
        levels=levels,
        marks=[(now_s, now_s, "now")],
    )
    is_other_zone = found.time_zone != (preferences.zone_name or "UTC")
    return BurnDownShown(found, chart, names, formats, is_other_zone)


def _values(points: Sequence[BurnDownPoint]) -> list[tuple[int, float | None]]:
    return [(_second(each), float(pico_of(each.spent_usd))) for each in points]


def _second(point: BurnDownPoint) -> int:
    return instant_us(point.at) // SECOND_US
