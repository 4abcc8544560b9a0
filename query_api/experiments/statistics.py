"""Compute means with confidence intervals, and percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import msgspec

from query_api.student_t import t_quantile


class Mean(msgspec.Struct):
    mean: float
    count: int
    ci95: tuple[float, float] | None
    """95 % confidence interval of the mean by Student's t distribution; null below two values."""


def mean_of(values: Sequence[float]) -> Mean | None:
    """Return the mean of values; None if there are none."""
    if not values:
        return None
    mean, count = fmean(values), len(values)
    if count < 2:
        return Mean(mean, count, None)
    half = t_quantile(count - 1) * stdev(values) / math.sqrt(count)
    return Mean(mean, count, (mean - half, mean + half))


def percentile(values: Sequence[float], fraction: float) -> float:
    """Return the smallest value that is at least as large as a fraction of all values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]
