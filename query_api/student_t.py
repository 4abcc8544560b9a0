"""Compute probabilities and quantiles of Student's t distribution, without other libraries."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

_ALPHA: Final = 0.05
"""Two-sided probability outside of an interval."""
_QUANTILES_MAX: Final = 1024
"""Quantiles that are kept."""
_BISECTIONS: Final = 60
_ITERATIONS_MAX: Final = 300
"""Terms of the continued fraction."""
_TINY: Final = 1e-300
_SERIES_FROM: Final = 50.0
"""From here on, an expansion of the gamma function is exact to all digits."""


def t_p_value(statistic: float, df: float) -> float:
    """Return the two-sided p-value: ``I_x(df / 2, 1 / 2)`` of ``x = df / (df + statistic²)``.

    The regularized incomplete beta function is computed by Lentz's continued fraction.
    """
    square = statistic * statistic
    if square <= 0:
        return 1.0
    x, rest = df / (df + square), square / (df + square)  # 1 - x would lose digits of small squares
    a, b = df / 2, 0.5
    log_front = _log_gamma_ratio(a) - math.lgamma(b)
    log_front += b * math.log(rest) - a * math.log1p(square / df)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(rest, b, a) / b


@lru_cache(_QUANTILES_MAX)
def t_quantile(df: float) -> float:
    """Return the 97.5 % quantile, which two-sided 95 % confidence intervals use."""
    low, high = 0.0, 2.0
    while t_p_value(high, df) > _ALPHA:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if t_p_value(middle, df) > _ALPHA:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _log_gamma_ratio(a: float) -> float:
    """Return the logarithm of ``Γ(a + 1/2) / Γ(a)``; two large logarithms would lose digits."""
    if a < _SERIES_FROM:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5)


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
