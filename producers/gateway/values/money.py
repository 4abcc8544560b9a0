"""Convert amounts in USD from clients to integer picodollars."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from producers.gateway.values.numbers import decimal_of
from producers.money import PICO_PER_USD
from tracemill.contract import COST_MAX_PICO

_exact: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)


def pico_of_usd(amount: Any) -> int | None:
    """Convert an amount in USD to picodollars; return None if it is not a valid amount.

    A decimal string, an ``int`` and a ``Decimal`` are converted exactly. A ``float`` is converted
    by its shortest decimal, which is what the client wrote. Fractions of a picodollar are rounded
    half to even. NaN, infinities, negative numbers, booleans and amounts above ``COST_MAX_PICO``
    are invalid.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | float | str | Decimal):
        return None
    if isinstance(amount, Decimal):
        usd = amount
    elif isinstance(amount, int):
        usd = Decimal(min(amount, COST_MAX_PICO))
    else:
        usd = decimal_of(amount if isinstance(amount, str) else repr(amount))
    if not usd.is_finite() or (usd.is_signed() and usd) or usd.adjusted() > 18:
        return None
    pico = int(_exact.multiply(usd, PICO_PER_USD).to_integral_value(ROUND_HALF_EVEN))
    return pico if pico <= COST_MAX_PICO else None
