"""Format picodollars as decimal strings of dollars."""

from __future__ import annotations

from typing import Final

PICO_PER_USD: Final = 10**12


def usd_text(pico: int) -> str:
    """Format picodollars as dollars without trailing zeros: ``"0.0015"``, ``"12"``, ``"-3.1"``."""
    whole, part = divmod(abs(pico), PICO_PER_USD)
    sign = "-" if pico < 0 else ""
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:012d}".rstrip("0")
