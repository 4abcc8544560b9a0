"""Word values, durations and shares of alerts for readers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from producers.control.periods import zone_of

TIMES: Final = "times"
"""Unit of a value as a factor of an earlier one."""
DEVIATIONS: Final = "deviations"
"""Unit of the difference from earlier values."""
_SUFFIXES: Final[Mapping[str, str]] = {
    "s": " s",
    "ratio": " %",
    "USD": " USD",
    "tokens": " tokens",
    "per_s": " per second",
    "tokens_per_s": " tokens per second",
    TIMES: " times",
    DEVIATIONS: " deviations",
}
_DURATIONS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_DIGITS: Final = 6
_SHARE_DIGITS: Final = 3
_FULL_DIGITS: Final = 15


def unit_compared(compare_with: object, anomaly: object) -> str:
    """Return the unit of values that are compared with earlier ones; empty: that of the metric."""
    if anomaly:
        return DEVIATIONS
    return TIMES if compare_with else ""


def amount_text(value: Decimal, unit: str, *, is_full: bool = False) -> str:
    """Return a value with its unit: US dollars exactly, others with six digits.

    Shares are in percent, with three digits or at least two after the point, such as ``7.69 %``.
    ``is_full`` shows 15 digits of both.
    """
    if unit != "USD":
        is_share = unit == "ratio"
        value = value * 100 if is_share else value
        digits = _FULL_DIGITS if is_full else _SHARE_DIGITS if is_share else _DIGITS
        least = _SHARE_DIGITS - 1 if is_share else 0
        value = round(value, max(least, digits - 1 - value.adjusted()) if value else 0)
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}{_SUFFIXES.get(unit, '')}"


def percent_text(part: int | Decimal, whole: int) -> str:
    """Return a share in percent with at most one decimal, such as ``50 %``."""
    share = Decimal(part) * 100 / whole if whole else Decimal(0)
    return f"{f'{share:.1f}'.removesuffix('.0')} %"


def duration_text(seconds: int) -> str:
    """Return a duration in the largest unit of which it is a multiple, such as ``5 min``."""
    for size_s, unit in _DURATIONS:
        if seconds and seconds % size_s == 0:
            return f"{seconds // size_s} {unit}"
    return "0 s"


def minute_text(at_us: int, time_zone: str = "") -> str:
    """Return a time to the minute in a zone, such as ``2026-11-29 00:00 UTC``."""
    zone = time_zone or "UTC"
    return f"{datetime.fromtimestamp(at_us // 1_000_000, zone_of(zone)):%Y-%m-%d %H:%M} {zone}"
