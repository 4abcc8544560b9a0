"""Totals on their way into rows: exact in memory, within 64 bits in the store.

Columns of counts and picodollars are ``Int64``. A total that outgrows its column stays at the column's end, where it reads as "at least this": nine
million dollars of one trace, of one minute's cell or of one quarter of an hour. Wrapped around it would read as a debt.

What is read back from a row at its end is less than there was; taking all of that back must not leave a debt either (``is_capped``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.core.observations.limits import OTHER_USAGE

ROW_AMOUNT_MAX: Final = 2**63 - 1


def row_amount(total: int) -> int:
    """A total as its row says it: not further from zero than ``ROW_AMOUNT_MAX``."""
    if -ROW_AMOUNT_MAX <= total <= ROW_AMOUNT_MAX:
        return total
    return ROW_AMOUNT_MAX if total > 0 else -ROW_AMOUNT_MAX


def row_amounts(totals: Mapping[str, int]) -> dict[str, int]:
    """Likewise totals by usage type."""
    return {
        usage_type: total if -ROW_AMOUNT_MAX <= total <= ROW_AMOUNT_MAX else row_amount(total)
        for usage_type, total in totals.items()
    }


def is_capped(amount: int) -> bool:
    """Whether the total behind an amount of a row may have been greater."""
    return amount >= ROW_AMOUNT_MAX


def add_amounts(
    totals: dict[str, int], change: Mapping[str, int], sign: int, types_max: int
) -> None:
    """Add a change of usage to a cell, by no more than ``types_max`` types: what is more is counted
    together as ``OTHER_USAGE``.

    The sum over all types is exact in any case: what is taken back of a type that has no total of
    its own is taken from the others.
    """
    for usage_type, count in change.items():
        key = usage_type if usage_type in totals or len(totals) < types_max else OTHER_USAGE
        totals[key] = totals.get(key, 0) + sign * count
