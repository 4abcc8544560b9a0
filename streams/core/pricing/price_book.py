"""The price book: what a usage of a model cost a project at a moment, exactly.

Order of prices: the project's own, then those set for all projects, then the default list. Within one source the most specific match counts
(the one with the most literal characters), then the latest ``effective_from_us`` that has come, then the youngest record. A price replaces a less preferred one as a whole: units it
does not name fall back to its own more general ones (cache read → input, reasoning → output), never to another list's.

Usage comes in buckets that do not overlap, so each is priced once. Nothing here does I/O or knows the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from producers.model_patterns import Matching, ModelPattern
from streams.core.pricing.models import MODEL_LENGTH_MAX
from streams.core.pricing.price_defaults import DefaultPrices, default_prices
from streams.core.pricing.rates import Period, Rate, RateTable, Variant, input_tokens_of
from streams.core.pricing.request import context_of
from streams.core.pricing.units import unit_of

CACHED_MODELS_MAX: Final = 4_000
"""(project, model) pairs whose prices are kept compiled, names of at most ``MODEL_LENGTH_MAX``
characters; the oldest makes room."""


class PriceTierRecord(Protocol):
    """Prices that replace the record's if all conditions hold: more than ``input_above`` input tokens, one of ``service_tiers``."""

    @property
    def input_above(self) -> int | None: ...
    @property
    def service_tiers(self) -> Sequence[str]: ...
    @property
    def prices(self) -> Mapping[str, int]: ...


class PriceRecord(Protocol):
    """What the control plane knows of a price; ``prices`` in picodollars per unit by usage type."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str | None: ...
    @property
    def match(self) -> str: ...
    @property
    def matching(self) -> Matching: ...
    @property
    def effective_from_us(self) -> int: ...
    @property
    def prices(self) -> Mapping[str, int]: ...
    @property
    def tiers(self) -> Sequence[PriceTierRecord]: ...
    @property
    def created_us(self) -> int: ...


class Priced(msgspec.Struct, frozen=True, gc=False):
    """The answer. ``cost`` in picodollars by the usage types as given; ``total_pico`` is its sum. ``total`` is in ``cost`` only if just a total was
    known, ``requests`` also if the model charges per request.

    ``known`` is false when nothing could be priced though there was something to price: the model, or all of its usage types, have no price.
    ``unpriced`` names usage types that cost nothing for want of a price.
    """

    cost: dict[str, int]
    total_pico: int
    price_id: str
    known: bool
    unpriced: tuple[str, ...] = ()


class PriceBook:
    """Prices of all projects. Immutable: ``with_prices`` makes another one; only its cache of compiled prices grows, to a limit."""

    def __init__(
        self,
        defaults: DefaultPrices | None = None,
        records: Iterable[PriceRecord] = (),
        *,
        compiled: Mapping[str, _Override] | None = None,
    ) -> None:
        """Compile ``records``, except those that are in ``compiled``, by id."""
        self._defaults = default_prices() if defaults is None else defaults
        self._compiled: dict[str, _Override] = {}
        self._own: dict[str | None, list[_Override]] = {}
        self.ignored: dict[str, str] = {}
        """Why a record prices nothing, by the record's id."""
        compiled = {} if compiled is None else compiled
        for record in records:
            override = compiled.get(record.id)
            if override is None or override.record is not record:
                try:
                    override = _Override(record)
                except ValueError as error:
                    self.ignored[record.id] = f"match: {error}"
                    continue
            self._compiled[record.id] = override
            self._own.setdefault(record.project_id, []).append(override)
        for overrides in self._own.values():
            overrides.sort(key=_Override.precedence, reverse=True)
        self._periods: dict[tuple[str, str], tuple[Period, ...]] = {}

    def with_prices(self, records: Iterable[PriceRecord]) -> PriceBook:
        """Return a book of the default list and ``records``, all that the control plane has.

        Records that this book has are not compiled again. A record that cannot be compiled prices
        nothing, and is in ``ignored``.
        """
        return PriceBook(self._defaults, records, compiled=self._compiled)

    def cost_of(
        self,
        project_id: str,
        model: str,
        usage: Mapping[str, int],
        at_us: int,
        parameters: str = "",
    ) -> Priced:
        """What ``usage`` cost.

        Args:
            project_id: whose prices come first.
            model: as the application named it; see ``streams.core.pricing.models``.
            usage: units by usage type, in buckets that do not overlap; counts below 1 cost nothing. ``total`` is priced only when no other bucket is.
            at_us: when it happened, microseconds since the epoch, UTC: decides which price was in force.
            parameters: the call's parameters, JSON text of an object: decides service tier, batch and the like.
        """
        periods = self._periods.get((project_id, model))
        if periods is None:
            periods = self._periods_of(project_id, model)
        for period in periods:
            if period.in_force(at_us):
                break
        else:
            return _nothing_known(usage)
        table = period.standard
        if period.lengths or (parameters and period.variants):
            input_tokens = input_tokens_of(usage) if period.lengths else 0
            table = period.table_for(context_of(parameters), at_us, input_tokens)
        return _priced(table, usage, period.price_id)

    def _periods_of(self, project_id: str, model: str) -> tuple[Period, ...]:
        if len(model) > MODEL_LENGTH_MAX:
            return ()
        found = self._periods.get((project_id, model))
        if found is None:
            overrides = [*self._own.get(project_id, ()), *self._own.get(None, ())]
            found = (
                *(override.period for override in overrides if override.matches(model)),
                *self._defaults.periods_of(model),
            )
            if len(self._periods) >= CACHED_MODELS_MAX:
                del self._periods[next(iter(self._periods))]
            self._periods[project_id, model] = found
        return found


def total_of_given(cost_pico: Mapping[str, int]) -> int:
    """The total of a cost that the client gave: its ``total``, else the sum of its parts. Picodollars."""
    total = cost_pico.get("total")
    return sum(cost_pico.values()) if total is None else total


class _Override:
    """A price of the control plane, compiled."""

    def __init__(self, record: PriceRecord) -> None:
        self.record = record
        self._pattern = ModelPattern(record.match, record.matching)
        self._literal = sum(map(str.isalnum, re.sub(r"\\.", "", record.match)))
        base = _by_unit(record.prices)
        variants = tuple(
            Variant(when, {**base, **_by_unit(tier.prices)}, input_above=_above(tier.input_above))
            for tier in record.tiers
            for when in _conditions(tier.service_tiers)
        )
        self.period = Period(record.id, base, variants, record.effective_from_us)

    def precedence(self) -> tuple[int, int, int, str]:
        return self._literal, self.period.from_us, self.record.created_us, self.record.id

    def matches(self, model: str) -> bool:
        return self._pattern.matches(model)


def _above(input_above: int | None) -> int:
    return -1 if input_above is None else input_above


def _conditions(service_tiers: Sequence[str]) -> list[dict[str, str]]:
    return [{"service_tier": tier.lower()} for tier in service_tiers] or [{}]


def _by_unit(prices: Mapping[str, int]) -> dict[str, Rate]:
    """Rates by unit where the usage type is known, else by the type itself: a project may price what it alone counts."""
    return {unit_of(usage_type) or usage_type: Rate(pico) for usage_type, pico in prices.items()}


def _nothing_known(usage: Mapping[str, int]) -> Priced:
    return Priced({}, 0, "", known=False, unpriced=tuple(usage))


def _priced(table: RateTable, usage: Mapping[str, int], price_id: str) -> Priced:
    cost: dict[str, int] = {}
    unpriced: list[str] = []
    total_pico = 0
    for usage_type, count in usage.items():
        if count <= 0:
            continue
        rate = table[usage_type]
        if rate is None:
            if unit_of(usage_type) != "total":
                unpriced.append(usage_type)
            continue
        pico = rate * count if isinstance(rate, int) else rate.amount(count)
        cost[usage_type] = pico
        total_pico += pico
    if not cost:
        cost = _cost_of_total(table, usage)
        total_pico = sum(cost.values())
    if table.per_request is not None and cost and "requests" not in cost:
        cost["requests"] = pico = table.per_request.amount(1)
        total_pico += pico
    known = True
    if not cost and any(count > 0 for count in usage.values()):
        known, price_id = False, ""
    return Priced(cost, total_pico, price_id, known, tuple(unpriced) if unpriced else ())


def _cost_of_total(table: RateTable, usage: Mapping[str, int]) -> dict[str, int]:
    """The cost of a usage that says nothing but a total."""
    count = max((usage[key] for key in usage if unit_of(key) == "total"), default=0)
    rate = table.rate_of_total()
    return {"total": rate.amount(count)} if rate and count > 0 else {}
