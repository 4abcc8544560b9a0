"""Scores: their mean, and the share of those with certain values."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="score_mean",
        label="Mean score",
        about="Mean of numeric and boolean scores (true is 1); `score_name` selects scores.",
        unit="score",
        aggregate="average",
        sources=("scores", "scored_calls"),
        of=("value_pico",),
        per=("values",),
        lowest=None,
    ),
    Metric(
        name="score_share",
        label="Share of scores with a value",
        about="Share of scores with a value of the filter `score_value`, from 0 to 1: `true`, a"
        " category, a number, or a bound such as `>= 0.8`.",
        unit="ratio",
        aggregate="share",
        sources=("scores", "scored_calls"),
        of=("score_values",),
        per=("observations",),
        filters=("score_value",),
        highest=Decimal(1),
    ),
)
