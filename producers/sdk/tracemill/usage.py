"""What a call used, in buckets that do not overlap."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from tracemill.contract import COST_MAX_PICO, COUNT_MAX, is_cost

_PICO: Final = 10**12


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Counts by kind. No token is in two of them: ``input`` without what came from a cache, ``output`` without reasoning.

    ``total`` is for calls of which nothing else is known. ``other`` takes any further usage types (``input_audio_tokens``, ``web_searches`` …).
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    total: int = 0
    other: Mapping[str, int] = {}

    def counts(self) -> dict[str, int]:
        """Counts by usage type as the event contract has them; what is no positive count is left out."""
        named = (
            ("input", self.input),
            ("output", self.output),
            ("input_cached_tokens", self.cache_read),
            ("input_cache_creation", self.cache_write),
            ("input_cache_creation_1h", self.cache_write_1h),
            ("output_reasoning_tokens", self.reasoning),
            ("total", self.total),
        )
        said = {usage_type: count for usage_type, count in named if count}
        return counts_of({**said, **self.other} if self.other else said)


def counts_of(usage: Usage | Mapping[str, Any]) -> dict[str, int]:
    """Whole, positive counts of a usage or a mapping; what is no count is left out.

    Raises:
        ValueError: a count is above ``COUNT_MAX``.
    """
    if isinstance(usage, Usage):
        return usage.counts()
    counts: dict[str, int] = {}
    for usage_type, count in usage.items():
        if type(count) is int:
            if count > 0:
                counts[str(usage_type)] = count
        elif isinstance(count, float) and count >= 1 and count.is_integer():
            counts[str(usage_type)] = int(count)
    for usage_type, count in counts.items():
        if count > COUNT_MAX:
            raise ValueError(f"{usage_type}: {count} units are more than any call uses")
    return counts


def picodollars_of(cost: Any) -> dict[str, int]:
    """A cost in US dollars as picodollars by usage type; a single amount is the ``total``.

    Amounts may be ``Decimal``, ``str``, ``int`` or ``float`` (taken as it prints); they are rounded to a picodollar.

    Raises:
        ValueError: an amount is no number, is negative or not finite; or the cost is more than ``COST_MAX_PICO``.
    """
    amounts = cost if isinstance(cost, Mapping) else {"total": cost}
    found = {str(usage_type): _picodollars(amount) for usage_type, amount in amounts.items()}
    if not is_cost(found):
        raise ValueError(f"{cost!r} is more than any call costs")
    return found


def _picodollars(amount: Any) -> int:
    try:
        dollars = Decimal(str(amount))
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not an amount of dollars") from error
    if not dollars.is_finite() or dollars < 0:
        raise ValueError(f"{amount!r} is not an amount of dollars")
    if dollars > COST_MAX_PICO // _PICO:
        raise ValueError(f"{amount!r} dollars are more than any call costs")
    return int((dollars * _PICO).to_integral_value())
