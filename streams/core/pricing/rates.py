"""What one unit costs, when: the compiled form of a price, made for being asked millions of times.

Money is integer picodollars. Most prices are a whole number of picodollars per unit and are kept as a plain ``int``; the others are a ``Rate``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

from streams.core.pricing.units import INPUT_TOKEN_UNITS, TOKEN_UNITS, fallbacks, unit_of

DAY_US: Final = 86_400_000_000
_TABLE_TYPES_MAX: Final = 256
"""Usage types whose rate one table remembers; the rest is looked up each time."""


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Above ``over`` input tokens (cached ones included) the whole request costs ``pico`` per ``per`` units."""

    over: int
    pico: int


class Rate(msgspec.Struct, frozen=True, omit_defaults=True):
    """``pico`` picodollars per ``per`` units; ``steps`` (ascending) replace it for long requests."""

    pico: int
    per: int = 1
    steps: tuple[Step, ...] = ()

    def at(self, input_tokens: int) -> Rate:
        """The rate of a request of that length, without steps."""
        pico = self.pico
        for step in self.steps:
            if input_tokens > step.over:
                pico = step.pico
        return Rate(pico, self.per)

    def amount(self, count: int) -> int:
        """Picodollars of ``count`` units, rounded half to even."""
        whole, rest = divmod(count * self.pico, self.per)
        if 2 * rest > self.per or (2 * rest == self.per and whole % 2):
            whole += 1
        return whole


class Hours(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A span of every UTC day, microseconds after midnight; it may span midnight."""

    start_us: int
    end_us: int

    def hold(self, at_us: int) -> bool:
        moment = at_us % DAY_US
        if self.end_us < self.start_us:
            return moment >= self.start_us or moment < self.end_us
        return self.start_us <= moment < self.end_us


class RateTable(dict[str, "int | Rate | None"]):
    """Rate by usage type, filled as types are asked for. ``None``: the type costs nothing, because nobody knows its price or it is a total.

    ``rates`` are by unit and without steps.
    """

    __slots__ = ("per_request", "rates")

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        super().__init__()
        self.rates = rates
        self.per_request = rates.get("requests")
        """Charged once per request, where the usage does not count requests itself."""

    def __missing__(self, usage_type: str) -> int | Rate | None:
        rate = self._find(usage_type)
        found = rate.pico if rate is not None and rate.per == 1 else rate
        if len(self) < _TABLE_TYPES_MAX:
            self[usage_type] = found
        return found

    def _find(self, usage_type: str) -> Rate | None:
        unit = unit_of(usage_type)
        if unit is None:
            return self.rates.get(usage_type)
        if unit == "total":
            return None
        return next((self.rates[name] for name in fallbacks(unit) if name in self.rates), None)

    def rate_of_total(self) -> Rate | None:
        """A total is priced if it has a price, or if it does not matter what its tokens were."""
        rate_in, rate_out = self.rates.get("input"), self.rates.get("output")
        if "total" in self.rates:
            return self.rates["total"]
        token_rates = {rate for unit, rate in self.rates.items() if unit in TOKEN_UNITS}
        if rate_in is not None and token_rates == {rate_in}:
            return rate_in  # of one price for all, or of an embedding model, which has no output
        return rate_in if rate_in is not None and rate_in == rate_out else None


class _InputTypes(dict[str, bool]):
    """Whether a usage type counts towards the length of a request."""

    def __missing__(self, usage_type: str) -> bool:
        found = unit_of(usage_type) in INPUT_TOKEN_UNITS
        if len(self) < _TABLE_TYPES_MAX:
            self[usage_type] = found
        return found


_counts_as_input: Final = _InputTypes()


def input_tokens_of(usage: Mapping[str, int]) -> int:
    """The length of a request: all its input tokens, cached ones included."""
    input_tokens = 0
    for usage_type, count in usage.items():
        if _counts_as_input[usage_type]:
            input_tokens += count
    return input_tokens


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rates that replace the standard ones when all of ``when`` is true of the request (service tier, batch …)."""

    when: dict[str, str]
    rates: dict[str, Rate]
    from_us: int = 0
    hours: Hours | None = None
    input_above: int = -1
    """Holds for requests of more input tokens than this, cached ones included."""

    def holds(self, context: Mapping[str, str], at_us: int, input_tokens: int) -> bool:
        if self.from_us > at_us or self.input_above >= input_tokens:
            return False
        for key, value in self.when.items():  # a loop: half the time of all(…)
            if context.get(key) != value:
                return False
        return self.hours is None or self.hours.hold(at_us)


class Period:
    """A price while it is in force: its id, its standard rates and its variants.

    Variants that hold are asked one after the other; the first that has a rate for a unit decides it.
    """

    __slots__ = (
        "_rates",
        "_some_need_no_context",
        "_tables",
        "from_us",
        "hours",
        "lengths",
        "price_id",
        "standard",
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
        self._some_need_no_context = any(not variant.when for variant in variants)
        all_rates = (*rates.values(), *(rate for v in variants for rate in v.rates.values()))
        self.lengths = sorted(
            {step.over for rate in all_rates for step in rate.steps}
            | {variant.input_above for variant in variants if variant.input_above >= 0}
        )
        """Numbers of input tokens above which something costs differently."""
        self._tables: dict[tuple[int, tuple[int, ...]], RateTable] = {}
        self.standard = self.table_for({}, from_us, 0)
        """The rates of a short request of which nothing else is known."""

    def in_force(self, at_us: int) -> bool:
        return self.from_us <= at_us and (self.hours is None or self.hours.hold(at_us))

    def table_for(self, context: Mapping[str, str], at_us: int, input_tokens: int) -> RateTable:
        """The rates of a request of ``input_tokens`` made under ``context``."""
        held: tuple[int, ...] = ()
        if context or self._some_need_no_context:
            held = tuple(
                i
                for i, variant in enumerate(self.variants)
                if variant.holds(context, at_us, input_tokens)
            )
        key = (bisect_left(self.lengths, input_tokens), held)
        table = self._tables.get(key)
        if table is None:
            rates = dict(self._rates)
            for i in reversed(held):
                rates.update(self.variants[i].rates)
            table = RateTable({unit: rate.at(input_tokens) for unit, rate in rates.items()})
            self._tables[key] = table
        return table
