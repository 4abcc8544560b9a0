"""Money at the edge: picodollars inside, decimal strings in ``/v1``, JSON numbers where the Langfuse surface has them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from producers.money import PICO_PER_USD, usd_text

_DECIMALS: Final = 12

__all__ = ["PICO_PER_USD", "pico_of", "usd_number", "usd_text"]


def usd_number(pico: int) -> float:
    """The JSON number nearest to an amount: only the last step to a client that knows no decimals."""
    return pico / PICO_PER_USD


def pico_of(amount: str) -> int:
    """Picodollars of a decimal string.

    Raises:
        ValueError: not a decimal number, or finer than a picodollar.
    """
    try:
        number = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(f"not a decimal number: {amount!r}") from error
    if not number.is_finite():
        raise ValueError(f"not an amount: {amount!r}")
    if abs(number) >= Decimal(10) ** 15:
        raise ValueError(f"not a plausible amount: {amount!r}")
    if number != number.quantize(Decimal(1).scaleb(-_DECIMALS)):
        raise ValueError(f"finer than a picodollar: {amount!r}")
    return int(number.scaleb(_DECIMALS))
