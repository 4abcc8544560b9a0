"""Compare samples: means with confidence intervals, and tests that allow repeated looks.

* ``welch_t``: Welch's t-test of two means; variances may differ.
* ``two_proportion_z``: z-test of two proportions with a pooled variance.
* ``msprt``: mixture sequential probability ratio test (Johari et al., "Always valid inference",
  2017). Its p-value remains valid if the data is looked at repeatedly while it grows.
* Holm's method adjusts the p-values of several tests of one comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from query_api.student_t import t_p_value, t_quantile

CONFIDENCE: Final = 0.95
EFFECT_SIZE: Final = 0.2
"""Standard deviation of the effects that the sequential test expects, in standard deviations of the
samples: small effects, which tests of prompts are about."""
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample by its size, mean and variance (with ``count - 1``)."""

    count: int
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class TestResult:
    """The difference of two samples, the second minus the first."""

    name: str
    difference: float
    low: float
    high: float
    statistic: float
    df: float | None
    p_value: float
    sequential_p_value: float


def sample_of_sums(count: int, total: int, squares: int, unit: int = 1) -> Sample:
    """Return the sample of exact integer sums; values are multiples of ``1 / unit``."""
    if not count:
        return Sample(0, 0.0, 0.0)
    # The numerators are integers, so no digits cancel out.
    variance = (
        (count * squares - total * total) / (count * (count - 1)) / unit**2 if count > 1 else 0.0
    )
    return Sample(count, total / count / unit, max(0.0, variance))


def mean_interval(sample: Sample) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a mean; None for fewer than two values."""
    if sample.count < 2:
        return None
    half = t_quantile(sample.count - 1) * math.sqrt(sample.variance / sample.count)
    return sample.mean - half, sample.mean + half


def welch_t(first: Sample, second: Sample) -> TestResult | None:
    """Test whether two means differ; None if a sample has fewer than two values."""
    if first.count < 2 or second.count < 2:
        return None
    shares = (first.variance / first.count, second.variance / second.count)
    variance = sum(shares)
    difference = second.mean - first.mean
    if variance <= 0:
        p_value = 1.0 if difference == 0 else 0.0
        return TestResult(
            "welch_t", difference, difference, difference, 0.0, None, p_value, p_value
        )
    df = variance**2 / sum(
        share**2 / (sample.count - 1) for share, sample in zip(shares, (first, second), strict=True)
    )
    statistic = difference / math.sqrt(variance)
    half = t_quantile(df) * math.sqrt(variance)
    return TestResult(
        name="welch_t",
        difference=difference,
        low=difference - half,
        high=difference + half,
        statistic=statistic,
        df=df,
        p_value=t_p_value(statistic, df),
        sequential_p_value=msprt(difference, variance, (first.variance + second.variance) / 2),
    )


def two_proportion_z(hits_a: int, count_a: int, hits_b: int, count_b: int) -> TestResult | None:
    """Test whether two proportions differ; None if a sample is empty."""
    if not count_a or not count_b:
        return None
    share_a, share_b = hits_a / count_a, hits_b / count_b
    difference = share_b - share_a
    pooled = (hits_a + hits_b) / (count_a + count_b)
    value_variance = pooled * (1 - pooled)
    variance = value_variance * (1 / count_a + 1 / count_b)
    own = share_a * (1 - share_a) / count_a + share_b * (1 - share_b) / count_b
    half = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(own)
    statistic = difference / math.sqrt(variance) if variance > 0 else 0.0
    return TestResult(
        name="two_proportion_z",
        difference=difference,
        low=max(-1.0, difference - half),
        high=min(1.0, difference + half),
        statistic=statistic,
        df=None,
        p_value=2 * _NORMAL.cdf(-abs(statistic)),
        sequential_p_value=msprt(difference, variance, value_variance) if variance > 0 else 1.0,
    )


def msprt(difference: float, variance: float, value_variance: float) -> float:
    """Return the p-value of a difference that is valid at every look.

    Args:
        difference: the difference of the means.
        variance: the variance of the difference.
        value_variance: the variance of single values.
    """
    mixing = EFFECT_SIZE**2 * value_variance
    if mixing <= 0:
        return 1.0
    total = variance + mixing
    log_ratio = 0.5 * math.log(variance / total)
    log_ratio += mixing * difference**2 / (2 * variance * total)
    return min(1.0, math.exp(-log_ratio)) if log_ratio > -700 else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the number of tests, in the given order."""
    ordered = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(ordered):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
