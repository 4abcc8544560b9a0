"""Money at the edge: picodollars inside, decimal strings in ``/v1``, JSON numbers where the Langfuse surface has them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

PICO_PER_USD: Final = 10**12
_DECIMALS: Final = 12


def usd_text(pico: int) -> str:
    """Picodollars as a decimal string of dollars without trailing zeros: ``"0.0015"``, ``"12"``, ``"-3.1"``."""
    whole, part = divmod(abs(pico), PICO_PER_USD)
    sign = "-" if pico < 0 else ""
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:012d}".rstrip("0")


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
