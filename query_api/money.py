"""Convert picodollars to decimal strings (``/v1``) and JSON numbers (Langfuse API), and back."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from producers.money import PICO_PER_USD, usd_text

_DECIMALS: Final = 12
_WHOLE_DIGITS: Final = 15

__all__ = ["PICO_PER_USD", "pico_of", "usd_number", "usd_of_statistic", "usd_text"]


def usd_number(pico: int) -> float:
    """Return US dollars as the nearest float, for clients that do not support decimal strings."""
    return pico / PICO_PER_USD


def usd_of_statistic(dollars: float) -> str:
    """Return a computed amount, such as a bound of an interval, rounded to picodollars."""
    return usd_text(int(Decimal(dollars).scaleb(_DECIMALS).to_integral_value()))


def pico_of(amount: str) -> int:
    """Convert a decimal string of US dollars to picodollars.

    Raises:
        ValueError: The text is not a decimal number, or has more than 12 decimals.
    """
    if amount == "0":
        return 0
    whole, point, part = amount.partition(".")
    if amount.isascii() and whole.isdigit() and len(whole) <= _WHOLE_DIGITS:
        if not point:
            return int(whole) * PICO_PER_USD
        if part.isdigit() and len(part) <= _DECIMALS:
            return int(whole) * PICO_PER_USD + int(part.ljust(_DECIMALS, "0"))
    try:
        number = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(f"not a decimal number: {amount!r}") from error
    if not number.is_finite():
        raise ValueError(f"not a finite amount: {amount!r}")
    if number.copy_abs() >= Decimal(10) ** 15:  # unlike `abs`, for all exponents
        raise ValueError(f"must be below 10^15 dollars: {amount!r}")
    if number != number.quantize(Decimal(1).scaleb(-_DECIMALS)):
        raise ValueError(f"more than 12 decimals: {amount!r}")
    return int(number.scaleb(_DECIMALS))
