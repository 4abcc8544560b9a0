"""Make the charts of the overview."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from query_api.console.charts import Chart, Color, Series, Step
from query_api.console.overview_data import Overview
from query_api.console.page import View
from query_api.money import PICO_PER_USD

_PERCENTILES: Final[tuple[tuple[str, Color], ...]] = (
    ("p50", "agent"), ("p95", "generation"), ("p99", "tool"),
)  # fmt: skip

INPUT_AND_OUTPUT: Final = ("input", "output")
_TYPES: Final[tuple[Color, ...]] = ("generation", "agent", "retriever", "tool", "warn")
"""Colours of types of tokens; further types are combined."""


def charts_of(view: View, found: Overview, listed: Callable[..., str]) -> Mapping[str, Chart]:
    """Return the charts by name; ``listed`` returns the address of the traces in a range."""
    points = found.points
    labels = [view.formats.time(each.start_us) for each in points]
    addresses = [listed((each.start_us, each.end_us)) for each in points]

    def steps(order: str = "") -> list[Step]:
        more = f"&order={order}" if order else ""
        return [
            Step(label, each.start_us, each.end_us, address + more)
            for label, address, each in zip(labels, addresses, points, strict=True)
        ]

    costs = [each.cost_pico / PICO_PER_USD for each in points]
    good = [each.observations - each.errors for each in points]
    errors = [each.errors for each in points]
    return {
        "cost": Chart("usd", steps("totalCost.desc"), (Series("cost", costs, "bar"),), live="cost"),
        "observations": Chart(
            "number",
            steps(),
            (
                Series("succeeded", good, "stacked", "retriever"),
                Series("failed", errors, "stacked", "bad"),
            ),
            live="observations",
        ),
        "latency": Chart(
            "duration",
            steps("latency.desc"),
            tuple(
                Series(name, [each.latency_us[name] for each in points], "line", color)
                for name, color in _PERCENTILES
            ),
        ),
        "tokens": Chart("number", steps(), _tokens(found)),
    }


def _tokens(found: Overview) -> list[Series]:
    """Return the tokens by type: those of the most frequent types, and the others together."""
    counts = found.now.tokens_by_type
    names = [*INPUT_AND_OUTPUT, *(each for each in counts if each not in INPUT_AND_OUTPUT)]
    shown, others = names[: len(_TYPES)], names[len(_TYPES) :]
    series = [
        Series(name, [each.tokens.get(name, 0) for each in found.points], "stacked", color)
        for name, color in zip(shown, _TYPES, strict=False)
    ]
    if others:
        rest = [sum(each.tokens.get(name, 0) for name in others) for each in found.points]
        series.append(Series("other", rest, "stacked", "span"))
    return series
