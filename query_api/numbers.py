"""Validate numbers in query strings."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER: Final = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


def _only_digits(number: object) -> object:
    if isinstance(number, str) and not _WHOLE.fullmatch(number):
        raise ValueError("a whole number in digits is expected")
    return number


def _only_number(number: object) -> object:
    if isinstance(number, str) and not _NUMBER.fullmatch(number):
        raise ValueError("a number in digits is expected")
    return number


def finite(text: str) -> float | None:
    """Parse a number; return None if it is not a number, or is outside the range of doubles."""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


Whole = Annotated[int, BeforeValidator(_only_digits)]
"""Whole number in digits; pydantic alone would also accept ``1_0``, ``+1``, ``1.0`` and spaces."""
Number = Annotated[float, BeforeValidator(_only_number), Field(allow_inf_nan=False)]
"""Finite decimal number, with or without an exponent."""
