"""Define the usage of a call as counts that do not overlap, and convert costs to picodollars."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tracemill.contract import COST_MAX_PICO, COUNT_MAX, is_within_cost_max
from tracemill.reconciliation import Reconciled, reconcile_object
from tracemill.reconciliation.roles import Ignored, role_of

_COSTS: Final = ("cost", "total_cost", "response_cost", "cost_usd")
_PICO: Final = 10**12
_DOLLARS_MAX: Final = COST_MAX_PICO // _PICO


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Usage of a call, in counts that do not overlap.

    ``input`` excludes tokens that were read from a cache or written to one. ``cache_write``
    excludes those with a lifetime of an hour (``cache_write_1h``). ``output`` excludes reasoning
    tokens. Set ``total`` only if no other count is known. ``other`` has counts of other usage
    types, such as ``input_audio_tokens`` and ``web_searches``.
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
        """Return the positive counts by the usage types of the event contract.

        Raises:
            ValueError: A count is above ``COUNT_MAX``.
        """
        named = (
            ("input", self.input),
            ("output", self.output),
            ("input_cached_tokens", self.cache_read),
            ("input_cache_creation", self.cache_write),
            ("input_cache_creation_1h", self.cache_write_1h),
            ("output_reasoning_tokens", self.reasoning),
            ("total", self.total),
        )
        counts = {usage_type: count for usage_type, count in named if count}
        return counts_of({**counts, **self.other} if self.other else counts)


def counts_of(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the positive whole counts of a mapping; leave out other values.

    Raises:
        ValueError: A count is above ``COUNT_MAX``.
    """
    counts: dict[str, int] = {}
    for usage_type, count in usage.items():
        if type(count) is int:
            if count > 0:
                counts[str(usage_type)] = count
        elif isinstance(count, float) and count >= 1 and count.is_integer():
            counts[str(usage_type)] = int(count)
    _check_counts(counts)
    return counts


def reconciled_of(usage: Usage | Mapping[str, Any]) -> Reconciled:
    """Return the disjoint counts of a usage, or of a usage object as a provider reports it.

    Raises:
        ValueError: A count is above ``COUNT_MAX``.
    """
    if isinstance(usage, Usage):
        return Reconciled(usage.counts())
    _check_counts(
        {
            str(name): value
            for name, value in usage.items()
            if isinstance(value, int | float) and not isinstance(role_of(str(name)), Ignored)
        }
    )
    found = reconcile_object(usage)
    return replace(found, counts={name: count for name, count in found.counts.items() if count})


def stated_cost_of(usage: Usage | Mapping[str, Any]) -> Any:
    """Return the cost in US dollars that a usage object states, as OpenRouter and Perplexity do."""
    if isinstance(usage, Usage):
        return None
    cost = next((usage[name] for name in _COSTS if usage.get(name) is not None), None)
    return cost.get("total_cost") if isinstance(cost, Mapping) else cost


def _check_counts(counts: Mapping[str, int | float]) -> None:
    for usage_type, count in counts.items():
        if count > COUNT_MAX:
            raise ValueError(f"{usage_type}: {count} is above the maximum of {COUNT_MAX} units")


def picodollars_of(cost: Any) -> dict[str, int]:
    """Convert a cost from US dollars to picodollars by usage type.

    A single amount is returned as ``total``. Amounts may be ``Decimal``, ``str``, ``int`` or
    ``float`` and are rounded to a picodollar; of a ``float``, the shortest decimal text counts.

    Raises:
        ValueError: An amount is negative or is not a finite number, or the cost is above
            ``COST_MAX_PICO``.
    """
    amounts = cost if isinstance(cost, Mapping) else {"total": cost}
    found = {str(usage_type): _picodollars(amount) for usage_type, amount in amounts.items()}
    if not is_within_cost_max(found):
        raise ValueError(f"{cost!r} is above the maximum of {_DOLLARS_MAX} dollars")
    return found


def _picodollars(amount: Any) -> int:
    try:
        dollars = Decimal(str(amount))
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not an amount of dollars") from error
    if not dollars.is_finite() or dollars < 0:
        raise ValueError(f"{amount!r} is not an amount of dollars")
    if dollars > _DOLLARS_MAX:
        raise ValueError(f"{amount!r} is above the maximum of {_DOLLARS_MAX} dollars")
    return int((dollars * _PICO).to_integral_value())
