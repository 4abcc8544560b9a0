"""Limit totals to the 64 bits of the store's columns; in memory they are exact.

Columns of counts and picodollars are ``Int64``. A total outside the range is stored as the largest
or smallest value instead of wrapping around. The limit is nine million dollars in one trace, one
window or one spend bucket.

A total that is read back from such a row is too small, so later corrections must not make it
negative (``is_capped``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.core.observations.limits import OTHER_USAGE

ROW_AMOUNT_MAX: Final = 2**63 - 1


def row_amount(total: int) -> int:
    """Return a total limited to ±``ROW_AMOUNT_MAX``."""
    if -ROW_AMOUNT_MAX <= total <= ROW_AMOUNT_MAX:
        return total
    return ROW_AMOUNT_MAX if total > 0 else -ROW_AMOUNT_MAX


def row_amounts(totals: Mapping[str, int]) -> dict[str, int]:
    """Return totals by usage type, each limited to ±``ROW_AMOUNT_MAX``."""
    return {
        usage_type: total if -ROW_AMOUNT_MAX <= total <= ROW_AMOUNT_MAX else row_amount(total)
        for usage_type, total in totals.items()
    }


def is_capped(amount: int) -> bool:
    """Return whether the exact total of a row's amount may be greater."""
    return amount >= ROW_AMOUNT_MAX


def add_amounts(
    totals: dict[str, int], change: Mapping[str, int], sign: int, types_max: int
) -> None:
    """Add a change of usage to totals of at most ``types_max`` types.

    Amounts of further types are added to ``OTHER_USAGE``, so the sum over all types is exact.
    """
    for usage_type, count in change.items():
        key = usage_type if usage_type in totals or len(totals) < types_max else OTHER_USAGE
        totals[key] = totals.get(key, 0) + sign * count
