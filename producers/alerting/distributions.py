"""Define the metrics of a distribution: its mean and its percentiles."""

from __future__ import annotations

from typing import Final

from producers.alerting.metric import Metric, Unit

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def distribution(name: str, label: str, noun: str, unit: Unit, bins: str) -> tuple[Metric, ...]:
    """Return ``avg_<name>`` and the percentiles of the values whose counts are in ``bins``."""
    mean = Metric(
        name=f"avg_{name}",
        label=f"{label} (mean)",
        about=f"Mean {noun}.",
        unit=unit,
        aggregate="mean",
        of=(bins,),
    )
    percentiles = (
        Metric(
            name=f"{prefix}_{name}",
            label=f"{label} ({prefix})",
            about=f"Percentile {prefix[1:]} of the {noun}.",
            unit=unit,
            aggregate="quantile",
            of=(bins,),
            quantile=quantile,
        )
        for prefix, quantile in QUANTILES.items()
    )
    return mean, *percentiles
