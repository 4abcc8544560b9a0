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

CONFIDENCE: Final = 0.95
EFFECT_SIZE: Final = 0.2
"""Standard deviation of the effects that the sequential test expects, in standard deviations of the
samples: small effects, which tests of prompts are about."""
_NORMAL: Final = NormalDist()
_ITERATIONS_MAX: Final = 300
_TINY: Final = 1e-300


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


def t_p_value(statistic: float, df: float) -> float:
    """Return the two-sided p-value of Student's t distribution."""
    return _incomplete_beta(df / (df + statistic * statistic), df / 2, 0.5)


def t_quantile(df: float) -> float:
    """Return the quantile of Student's t distribution for two-sided 95 % intervals."""
    low, high = 0.0, 2.0
    while t_p_value(high, df) > 1 - CONFIDENCE:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if t_p_value(middle, df) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function (Lentz's continued fraction)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _ITERATIONS_MAX + 1):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + factor * d)
            c = _nonzero(1 + factor / c)
            value *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
