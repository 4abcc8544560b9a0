"""Convert prices between US dollars (per unit or per million units) and picodollars per unit.

A price is a whole number of picodollars per unit, so that every cost is exact.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from producers.money import PICO_PER_USD

PICO_MAX: Final = 2**63 - 1
UNITS: Final = 10**6
"""Number of units of prices in the API."""
USAGE_TYPES_MAX: Final = 100
USAGE_TYPE: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.:/ -]{0,99}$"
UsageType = Annotated[str, Field(pattern=USAGE_TYPE)]

_EXACT: Final = Context(prec=120)
"""Precision that is sufficient for all allowed amounts."""
_ROUNDED: Final = Context(prec=18)
_DECIMAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_RELATIVE_ERROR_OF_FLOATS: Final = Decimal(2) ** -50
"""Allowed error of JSON numbers: computed ones, such as 3 / 1e6 * 1.1, are slightly off."""


def usd_per_million(pico: int, per: int = 1) -> str:
    """Format ``pico`` picodollars per ``per`` units as US dollars per million units.

    Amounts without a finite decimal representation, such as a price per hour for a unit of one
    second, are rounded to 18 digits.
    """
    terms = Decimal(pico * UNITS), Decimal(per * PICO_PER_USD)
    context = _EXACT.copy()
    usd = context.divide(*terms)
    return _plain(_ROUNDED.divide(*terms) if context.flags[Inexact] else usd)


def pico_of_usd_per_million(amount: object) -> int:
    """Parse US dollars per million units: a decimal string, or a JSON number.

    Raises:
        ValueError: it is not an amount, or not a whole number of picodollars per unit.
    """
    pico = _decimal(amount).scaleb(6, _EXACT)
    return _whole(pico, "USD per million units must have at most 6 decimals")


def pico_of_usd_per_unit(amount: object) -> int:
    """Parse US dollars per unit, which Langfuse clients send as a JSON number.

    Raises:
        ValueError: it is not an amount, or not a whole number of picodollars per unit.
    """
    pico = _decimal(amount).scaleb(12, _EXACT)
    if isinstance(amount, float):
        nearest = pico.to_integral_value()
        if abs(pico - nearest) <= nearest * _RELATIVE_ERROR_OF_FLOATS:
            pico = nearest
    return _whole(pico, "USD per unit must have at most 12 decimals")


def _decimal(amount: object) -> Decimal:
    if isinstance(amount, bool) or not isinstance(amount, str | int | float):
        raise ValueError('must be a decimal string such as "2.50"')  # noqa: TRY004
    # ``Decimal`` also accepts underscores, spaces, exponents and digits of other scripts.
    if isinstance(amount, str) and not _DECIMAL.fullmatch(amount):
        raise ValueError(
            f"must be a decimal number of 0 or more, such as 2.50, not {amount[:64]!r}"
        )
    decimal = Decimal(amount if isinstance(amount, str) else repr(amount))
    if not decimal.is_finite() or decimal < 0:
        raise ValueError("must be 0 or more")
    if decimal > PICO_MAX:
        raise ValueError(f"must be at most {PICO_MAX} picodollars per unit")
    return decimal


def _whole(pico: Decimal, digits: str) -> int:
    if pico > PICO_MAX:
        raise ValueError(f"must be at most {PICO_MAX} picodollars per unit")
    if pico != pico.to_integral_value():
        raise ValueError(f"not a whole number of picodollars per unit: {digits}")
    return int(pico)


def _plain(decimal: Decimal) -> str:
    text = format(decimal, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _schema(description: str) -> Any:
    return WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "number"}], "description": description}
    )


UsdPerMillion = Annotated[
    int,
    BeforeValidator(pico_of_usd_per_million),
    _schema("US dollars per million units; a decimal string is exact."),
]
"""Type of fields in US dollars per million units, which are converted to picodollars per unit."""
