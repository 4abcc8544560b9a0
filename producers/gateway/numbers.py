"""Numbers of strangers, converted within bounds: no digits or exponent make a conversion raise or take long."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Final

DECIMAL_CHARS_MAX: Final = 64
"""Digits, sign and exponent of an amount."""
_NO_NUMBER: Final = Decimal("NaN")
_INT64: Final = range(-(1 << 63), 1 << 63)


def decimal_of(text: str) -> Decimal:
    """The decimal number; NaN for what is none, or is longer or larger than any amount."""
    if len(text) > DECIMAL_CHARS_MAX:
        return _NO_NUMBER
    try:
        return Decimal(text)
    except (InvalidOperation, ValueError):
        return _NO_NUMBER


def float_of(number: float) -> float:
    """The float nearest to an integer or float; an infinity where none is near."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def is_int64(number: int) -> bool:
    return number in _INT64


def finite(number: float) -> float | str:
    """The number, or the name of one that JSON has no number for."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
