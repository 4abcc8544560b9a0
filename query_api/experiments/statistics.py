"""Compute means with confidence intervals, without other libraries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import Final

import msgspec

_T_975: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""97.5 % quantiles of Student's t distribution with 1, 2, … degrees of freedom."""
_Z_975: Final = NormalDist().inv_cdf(0.975)


class Mean(msgspec.Struct):
    mean: float
    count: int
    ci95: tuple[float, float] | None
    """95 % confidence interval of the mean by Student's t distribution; null below two values."""


def t_975(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution."""
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z = _Z_975  # an expansion by powers of 1 / degrees, exact to four digits here
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def mean_of(values: Sequence[float]) -> Mean | None:
    """Return the mean of values; None if there are none."""
    if not values:
        return None
    mean, count = fmean(values), len(values)
    if count < 2:
        return Mean(mean, count, None)
    half = t_975(count - 1) * stdev(values) / math.sqrt(count)
    return Mean(mean, count, (mean - half, mean + half))


def percentile(values: Sequence[float], fraction: float) -> float:
    """Return the smallest value that is at least as large as a fraction of all values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]
