"""Parse decimal numbers of bodies exactly: JSON numbers, and decimal strings."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

_DECIMAL: Final = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_SHOWN_MAX: Final = 64
_LARGEST: Final = 1e30


def decimal_text(value: object) -> str:
    """Return a number as its shortest decimal text without an exponent.

    A JSON number is read as its shortest decimal representation.

    Raises:
        ValueError: it is not a decimal number.
    """
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            message = (
                f'{value[:_SHOWN_MAX]!r} is not allowed; a number such as 0.1 or "0.1" is expected'
            )
            raise ValueError(message)
        number = Decimal(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('a number such as 0.1 or "0.1" is expected')  # noqa: TRY004
    elif not -_LARGEST <= value <= _LARGEST:  # also false for NaN
        raise ValueError(f"a number of at most {_LARGEST:.0e} is expected")
    else:
        number = Decimal(repr(value))
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text.startswith("-0") and not number:
        return "0"
    if not _DECIMAL.fullmatch(text):
        raise ValueError("at most 40 digits before and after the point are allowed")
    return text.lstrip("0") or "0" if text.isdigit() else text


DecimalNumber = Annotated[
    str,
    BeforeValidator(decimal_text),
    WithJsonSchema({"type": ["number", "string"], "examples": [0.1, "1000"]}),
]
"""Type of numbers in bodies, converted to decimal text."""
