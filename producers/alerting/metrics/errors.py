"""Errors: observations with the level ``ERROR``."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="error_rate",
        label="Error rate",
        about="Share of observations with an error, from 0 to 1.",
        unit="ratio",
        aggregate="share",
        sources=("windows", "spend"),
        of=("errors",),
        per=("observations",),
        highest=Decimal(1),
    ),
    Metric(
        name="error_count",
        label="Number of errors",
        about="Number of observations with an error; `error_type` selects types.",
        unit="count",
        aggregate="sum",
        sources=("windows", "spend"),
        of=("errors",),
        only_grows=True,
        filters=("error_type",),
        is_calendar=True,
    ),
)
