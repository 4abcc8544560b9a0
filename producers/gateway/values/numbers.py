"""Convert numbers of clients within limits, so that no conversion fails or takes long."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Final

DECIMAL_CHARS_MAX: Final = 64
"""Maximum length of the text of an amount, including sign and exponent."""
_NO_NUMBER: Final = Decimal("NaN")


def decimal_of(text: str) -> Decimal:
    """Convert a text to a decimal number; NaN if it is not one, or is longer than any amount."""
    if len(text) > DECIMAL_CHARS_MAX:
        return _NO_NUMBER
    try:
        return Decimal(text)
    except (InvalidOperation, ValueError):
        return _NO_NUMBER


def float_of(number: float) -> float:
    """Return the float nearest to a number; an infinity if it is out of range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def finite(number: float) -> float | str:
    """Return the number, or its name if JSON cannot represent it."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
