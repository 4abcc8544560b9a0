"""Calls without a price."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from producers.alerting.metric import Metric

METRICS: Final = (
    Metric(
        name="unpriced_share",
        label="Share of calls without a price",
        about="Share of observations whose usage has no price, from 0 to 1.",
        unit="ratio",
        aggregate="share",
        of=("unpriced",),
        per=("observations",),
        highest=Decimal(1),
    ),
)
