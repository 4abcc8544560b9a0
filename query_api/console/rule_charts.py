"""Draw when an alert rule would have fired: the values of its groups against the threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from query_api.console.formats import Formats
from query_api.console.line_charts import LineChart, LineSeries, line_chart
from query_api.console.metric_values import shown_amount
from query_api.times import SECOND_US, instant_us
from query_api.v1.rule_backtests import BacktestOut

EPISODES_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Episode:
    """A time in which a group would have been firing."""

    group: Mapping[str, str]
    from_us: int | None
    """None: since before the range."""
    to_us: int | None
    """None: until after the range."""
    value: Any


@dataclass(frozen=True, slots=True)
class RulePast:
    """A backtest as the preview shows it."""

    chart: LineChart
    shown: Callable[[Any], str]
    episodes: Sequence[Episode]
    episode_count: int
    is_truncated: bool
    has_threshold: bool


def rule_past(past: BacktestOut, threshold: str | None, unit: str, formats: Formats) -> RulePast:
    """Return the chart of a backtest; without a threshold, only the values are shown."""
    from_s, to_s = (instant_us(each) // SECOND_US for each in (past.from_, past.to))
    episodes = [
        Episode(
            each.group,
            None if each.fired_at is None else instant_us(each.fired_at),
            None if each.resolved_at is None else instant_us(each.resolved_at),
            each.value,
        )
        for each in past.episodes
    ]
    if threshold is None:
        episodes = []
    series = [
        LineSeries(
            " · ".join(each.group.values()),
            [
                (
                    instant_us(point.at) // SECOND_US,
                    None if point.value is None else float(point.value),
                )
                for point in each.points
            ],
        )
        for each in past.series
    ]
    chart = line_chart(
        series,
        from_s=from_s,
        to_s=to_s,
        levels=[] if threshold is None else [float(threshold)],
        marks=[
            (
                from_s if each.from_us is None else each.from_us // SECOND_US,
                to_s if each.to_us is None else each.to_us // SECOND_US,
                "firing",
            )
            for each in episodes[:EPISODES_SHOWN]
        ],
        step_s=_step_s(series),
        of_seconds=unit == "s",
    )
    return RulePast(
        chart,
        lambda value: shown_amount(formats, unit, value),
        episodes[:EPISODES_SHOWN],
        len(episodes),
        past.truncated,
        threshold is not None,
    )


def _step_s(series: Sequence[LineSeries]) -> int:
    """Return the shortest distance of two points of a series; 0 if there are none."""
    distances = [
        after - before
        for each in series
        for (before, _), (after, _) in zip(each.points, each.points[1:], strict=False)
        if after > before
    ]
    return min(distances, default=0)
