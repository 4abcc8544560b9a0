"""Scores: their mean, and the share of those with certain values."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="score_mean",
        about="Mean of numeric scores; `score_name` selects scores.",
        unit="score",
        aggregate="mean",
        sources=("scores",),
        of=("value",),
        filters=("score_name",),
        lowest=None,
    ),
    Metric(
        name="score_share",
        about="Share of scores that have a value of the filter `score_value`, from 0 to 1.",
        unit="ratio",
        aggregate="share",
        sources=("scores",),
        of=("score_value",),
        per=("scores",),
        filters=("score_name", "score_value"),
        highest=Decimal(1),
    ),
)
