"""Compiled prices: rates per unit, by time and condition, optimized for many lookups.

Amounts are integer picodollars. Most prices are a whole number of picodollars per unit and are
stored as ``int``; the others are a ``Rate``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

from producers.usage_units import INPUT_TOKEN_UNITS, TOKEN_UNITS, fallbacks, unit_of

DAY_US: Final = 86_400_000_000
_TABLE_TYPES_MAX: Final = 256
"""Maximum usage types cached per table; others are looked up each time."""


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A rate of ``pico`` per ``per`` units for requests with more than ``over`` input tokens.

    Input tokens include cached ones. The rate applies to all tokens of such a request.
    """

    over: int
    pico: int


class Rate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rate of ``pico`` picodollars per ``per`` units, with ascending ``steps``."""

    pico: int
    per: int = 1
    steps: tuple[Step, ...] = ()

    def at(self, input_tokens: int) -> Rate:
        """Return the rate of a request with this number of input tokens."""
        pico = self.pico
        for step in self.steps:
            if input_tokens > step.over:
                pico = step.pico
        return Rate(pico, self.per)

    def amount(self, count: int) -> int:
        """Return the cost of ``count`` units in picodollars, rounded half to even."""
        whole, rest = divmod(count * self.pico, self.per)
        if 2 * rest > self.per or (2 * rest == self.per and whole % 2):
            whole += 1
        return whole


class Hours(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of every UTC day, in microseconds after midnight; it may include midnight."""

    start_us: int
    end_us: int

    def include(self, at_us: int) -> bool:
        moment = at_us % DAY_US
        if self.end_us < self.start_us:
            return moment >= self.start_us or moment < self.end_us
        return self.start_us <= moment < self.end_us


class RateTable(dict[str, "int | Rate | None"]):
    """Rates by usage type, computed on first use; None: the type has no price or is a total.

    ``rates`` has the rates by unit, which have no steps.
    """

    __slots__ = ("per_request", "rates")

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        super().__init__()
        self.rates = rates
        self.per_request = rates.get("requests")
        """Charged once per request, unless the usage counts requests itself."""

    def __missing__(self, usage_type: str) -> int | Rate | None:
        name = self.priced_as(usage_type)
        rate = None if name is None else self.rates[name]
        found = rate.pico if rate is not None and rate.per == 1 else rate
        if len(self) < _TABLE_TYPES_MAX:
            self[usage_type] = found
        return found

    def priced_as(self, usage_type: str) -> str | None:
        """Return the unit whose rate applies: its own, or a more general one; None if none does."""
        unit = unit_of(usage_type)
        if unit is None:
            return usage_type if usage_type in self.rates else None
        if unit == "total":
            return None
        return next((name for name in fallbacks(unit) if name in self.rates), None)

    def rate_of_total(self) -> Rate | None:
        """Return the rate of a total: its own, or the one rate of all tokens, if there is one."""
        rate_in, rate_out = self.rates.get("input"), self.rates.get("output")
        if "total" in self.rates:
            return self.rates["total"]
        token_rates = {rate for unit, rate in self.rates.items() if unit in TOKEN_UNITS}
        if rate_in is not None and token_rates == {rate_in}:
            return rate_in  # one rate for all tokens, or no output, as in embedding models
        return rate_in if rate_in is not None and rate_in == rate_out else None


class _InputTypes(dict[str, bool]):
    """A cache of whether usage types count as input tokens."""

    def __missing__(self, usage_type: str) -> bool:
        found = unit_of(usage_type) in INPUT_TOKEN_UNITS
        if len(self) < _TABLE_TYPES_MAX:
            self[usage_type] = found
        return found


_counts_as_input: Final = _InputTypes()


def input_tokens_of(usage: Mapping[str, int]) -> int:
    """Return the number of a request's input tokens, including cached ones."""
    input_tokens = 0
    for usage_type, count in usage.items():
        if _counts_as_input[usage_type]:
            input_tokens += count
    return input_tokens


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rates that replace the standard ones for requests that match all conditions in ``when``.

    ``streams.core.pricing.request`` defines the conditions, such as service tier and batch.
    """

    when: dict[str, str]
    rates: dict[str, Rate]
    from_us: int = 0
    hours: Hours | None = None
    input_above: int = -1
    """The variant applies above this number of input tokens, including cached ones."""

    def applies(self, context: Mapping[str, str], at_us: int, input_tokens: int) -> bool:
        if self.from_us > at_us or self.input_above >= input_tokens:
            return False
        for key, value in self.when.items():  # a loop takes half the time of all(…)
            if context.get(key) != value:
                return False
        return self.hours is None or self.hours.include(at_us)


class Period:
    """A price with the time in which it applies: its id, standard rates and variants.

    If several variants apply, the first one with a rate for a unit is used.
    """

    __slots__ = (
        "_rates",
        "_some_are_unconditional",
        "_tables",
        "from_us",
        "hours",
        "price_id",
        "standard",
        "thresholds",
        "variants",
    )

    def __init__(
        self,
        price_id: str,
        rates: Mapping[str, Rate],
        variants: tuple[Variant, ...] = (),
        from_us: int = 0,
        hours: Hours | None = None,
    ) -> None:
        self.price_id = price_id
        self.from_us = from_us
        self.hours = hours
        self.variants = variants
        self._rates = rates
        self._some_are_unconditional = any(not variant.when for variant in variants)
        all_rates = (*rates.values(), *(rate for v in variants for rate in v.rates.values()))
        self.thresholds = sorted(
            {step.over for rate in all_rates for step in rate.steps}
            | {variant.input_above for variant in variants if variant.input_above >= 0}
        )
        """Numbers of input tokens above which a rate changes."""
        self._tables: dict[tuple[int, tuple[int, ...]], RateTable] = {}
        self.standard = self.table_for({}, from_us, 0)
        """Rates of requests without conditions that are below all ``thresholds``."""

    def in_force(self, at_us: int) -> bool:
        return self.from_us <= at_us and (self.hours is None or self.hours.include(at_us))

    def applying(
        self, context: Mapping[str, str], at_us: int, input_tokens: int
    ) -> tuple[int, ...]:
        """Return the indexes of the variants that apply to a request."""
        if not context and not self._some_are_unconditional:
            return ()
        return tuple(
            i
            for i, variant in enumerate(self.variants)
            if variant.applies(context, at_us, input_tokens)
        )

    def table_for(self, context: Mapping[str, str], at_us: int, input_tokens: int) -> RateTable:
        """Return the rates of a request with ``input_tokens`` under the conditions ``context``."""
        applying = self.applying(context, at_us, input_tokens)
        key = (bisect_left(self.thresholds, input_tokens), applying)
        table = self._tables.get(key)
        if table is None:
            rates = dict(self._rates)
            for i in reversed(applying):
                rates.update(self.variants[i].rates)
            table = RateTable({unit: rate.at(input_tokens) for unit, rate in rates.items()})
            self._tables[key] = table
        return table
