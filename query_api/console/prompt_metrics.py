"""Prepare the tests of two versions of a prompt for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from query_api.prompts.comparison import TestOut, VersionOut
from query_api.v1.prompt_comparison import PromptComparison

SCORE = "score:"
SMALLER_IS_BETTER = ("cost_usd", "latency_ms", "error_rate")


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A test of a metric; ``low``, ``middle`` and ``high`` are on a scale from 0 to 100.

    The scale is symmetric around 50, which is no difference.
    """

    metric: str
    score: str
    """Name of the score; empty: the metric is another one."""
    first: float
    second: float
    test: TestOut
    low: float
    middle: float
    high: float

    @property
    def is_better(self) -> bool:
        """Return whether the second version has the better mean."""
        is_smaller = float(self.test.difference) < 0
        return is_smaller == (self.metric in SMALLER_IS_BETTER)


def metric_rows(comparison: PromptComparison) -> Sequence[MetricRow]:
    """Return the tests of a comparison of two versions."""
    first, second = comparison.data
    return [_row(each, first, second) for each in comparison.tests]


def _row(test: TestOut, first: VersionOut, second: VersionOut) -> MetricRow:
    low, high = map(float, test.ci95)
    difference = float(test.difference)
    largest = max(abs(low), abs(high), abs(difference)) or 1.0

    def place(value: float) -> float:
        return 50 + 46 * value / largest

    is_score = test.metric.startswith(SCORE)
    return MetricRow(
        test.metric,
        test.metric.removeprefix(SCORE) if is_score else "",
        _mean(first, test.metric),
        _mean(second, test.metric),
        test,
        place(low),
        place(difference),
        place(high),
    )


def _mean(version: VersionOut, metric: str) -> float:
    match metric:
        case "cost_usd":
            return float(version.cost_usd.mean or 0)
        case "latency_ms":
            return version.latency_ms.mean or 0.0
        case "error_rate":
            return version.error_rate or 0.0
    return version.scores[metric.removeprefix(SCORE)].mean
