"""Traffic: observations in total and per second."""

from __future__ import annotations

from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="rate",
        label="Observations per second",
        about="Observations per second.",
        unit="per_s",
        aggregate="rate",
        sources=("windows", "spend"),
        of=("observations",),
        only_grows=True,
    ),
    Metric(
        name="count",
        label="Number of observations",
        about="Number of observations.",
        unit="count",
        aggregate="sum",
        sources=("windows", "spend"),
        of=("observations",),
        only_grows=True,
        is_calendar=True,
    ),
)
