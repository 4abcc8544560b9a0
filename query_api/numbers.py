"""Validate numbers in query strings."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

_WHOLE: Final = re.compile(r"-?[0-9]+", re.ASCII)


def _only_digits(number: object) -> object:
    if isinstance(number, str) and not _WHOLE.fullmatch(number):
        raise ValueError("a whole number in digits is expected")
    return number


Whole = Annotated[int, BeforeValidator(_only_digits)]
"""Whole number in digits: pydantic alone would accept ``1_0``, ``+1``, ``1.0`` and spaces, too."""
