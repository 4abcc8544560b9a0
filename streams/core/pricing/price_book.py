"""Compute the exact cost of a usage, by project, model and time.

Prices of the project take precedence over those for all projects, and these over the default list.
Within one of these sources, a price with a later ``effective_from_us`` than the request is ignored.
Of the others, the one whose pattern has the most letters and digits (escapes are not counted) is
chosen, then the one with the latest ``effective_from_us``, then the newest record. Only the chosen
price is used: units that it does not list cost as much as its more general units (cache read →
input, reasoning → output).

Usage types must not overlap, so that each token is charged once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from producers.model_patterns import Matching, ModelPattern
from producers.usage_units import unit_of
from streams.core.pricing.models import MODEL_LENGTH_MAX
from streams.core.pricing.price_defaults import DefaultPrices, Resolved, default_prices
from streams.core.pricing.rates import Period, Rate, RateTable, Variant, input_tokens_of
from streams.core.pricing.request import (
    NO_CONTEXT,
    TIERS_WITH_OWN_PRICES,
    conditions_of,
    served_by,
)
from streams.core.pricing.savings import FRESH_UNITS
from tracemill.contract import COST_MAX_PICO

CACHED_MODELS_MAX: Final = 4_000
"""Maximum cached (project, model) pairs with compiled prices; above it, the oldest is evicted."""


class PriceTierRecord(Protocol):
    """Prices for requests above ``input_above`` input tokens, in one of ``service_tiers``.

    They replace those of the record if all conditions hold.
    """

    @property
    def input_above(self) -> int | None: ...
    @property
    def service_tiers(self) -> Sequence[str]: ...
    @property
    def prices(self) -> Mapping[str, int]: ...


class PriceRecord(Protocol):
    """A price in the control plane; ``prices`` are picodollars per unit by usage type."""

    @property
    def id(self) -> str: ...
    @property
    def project_id(self) -> str | None: ...
    @property
    def name(self) -> str: ...
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
    """The cost of a usage: picodollars by usage type, and ``total_pico``, their sum.

    ``cost`` contains ``total`` only if no other usage type is priced, and ``requests`` if the model
    is charged per request. ``has_price`` is False if no part of the usage has a price. ``unpriced``
    lists the usage types without a price. ``saved_pico`` is what prompt caches saved
    (``streams.core.pricing.savings``), at most ``COST_MAX_PICO``. ``has_tier`` is False if the tier
    that served the call has no price of its own, so that the standard price was used.
    """

    cost: dict[str, int]
    total_pico: int
    price_id: str
    has_price: bool
    unpriced: tuple[str, ...] = ()
    has_tier: bool = True
    saved_pico: int = 0


class Candidate(NamedTuple):
    """A price whose pattern or name fits a model: of the control plane, or of the default list."""

    period: Period
    record: PriceRecord | None = None
    resolved: Resolved | None = None


class PriceBook:
    """The prices of all projects; immutable except for its bounded cache of compiled prices."""

    def __init__(
        self,
        defaults: DefaultPrices | None = None,
        records: Iterable[PriceRecord] = (),
        *,
        compiled: Mapping[str, _Override] | None = None,
    ) -> None:
        """Compile ``records``, except those that ``compiled`` contains by id, unchanged."""
        self.defaults = default_prices() if defaults is None else defaults
        self._compiled: dict[str, _Override] = {}
        self._own: dict[str | None, list[_Override]] = {}
        self.ignored: dict[str, str] = {}
        """Reasons why records are ignored, by record id."""
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
        """Return a price book with the default list and ``records``, the control plane's prices.

        Records that this book contains are not compiled again. Records that cannot be compiled are
        listed in ``ignored``.
        """
        return PriceBook(self.defaults, records, compiled=self._compiled)

    def cost_of(
        self,
        project_id: str,
        model: str,
        usage: Mapping[str, int],
        at_us: int,
        parameters: str = "",
        served_tier: str = "",
    ) -> Priced:
        """Return the cost of ``usage``.

        Args:
            project_id: the project, whose own prices take precedence.
            model: the model id, as sent by the application; see ``streams.core.pricing.models``.
            usage: units by usage type, without overlaps; counts below 1 cost nothing. ``total`` is
                priced only if no other type is.
            at_us: time of the request in microseconds since the epoch; selects the price.
            parameters: parameters of the request as a JSON object; they select service tier, batch
                and other conditions.
            served_tier: tier that served the request; it overrides the requested one.
        """
        periods = self._periods.get((project_id, model))
        if periods is None:
            periods = self._periods_of(project_id, model)
        for period in periods:
            if period.in_force(at_us):
                break
        else:
            return _nothing_known(usage)
        table = rates_of(period, usage, at_us, parameters, served_tier)
        priced = _priced(table, usage, period.price_id)
        if served_tier and not _has_tier(period, served_tier.lower()):
            return msgspec.structs.replace(priced, has_tier=False)
        return priced

    def provider_of(self, model: str) -> str:
        """Return the provider of a model by its name; empty if it is unknown."""
        return self.defaults.provider_of(model)

    def candidates(self, project_id: str, model: str) -> Iterator[Candidate]:
        """Yield the prices of a model in order of precedence; the first one in force applies."""
        if len(model) > MODEL_LENGTH_MAX:
            return
        for override in (*self._own.get(project_id, ()), *self._own.get(None, ())):
            if override.matches(model):
                yield Candidate(override.period, record=override.record)
        resolved = self.defaults.resolve(model)
        for period in self.defaults.periods_of(resolved):
            yield Candidate(period, resolved=resolved)

    def price_id_of(self, project_id: str, model: str, at_us: int) -> str | None:
        """Return the id of the price that applies to a model; None if there is none."""
        periods = self._periods_of(project_id, model)
        return next((each.price_id for each in periods if each.in_force(at_us)), None)

    def _periods_of(self, project_id: str, model: str) -> tuple[Period, ...]:
        if len(model) > MODEL_LENGTH_MAX:
            return ()
        found = tuple(candidate.period for candidate in self.candidates(project_id, model))
        if len(self._periods) >= CACHED_MODELS_MAX:
            del self._periods[next(iter(self._periods))]
        self._periods[project_id, model] = found
        return found


def rates_of(
    period: Period,
    usage: Mapping[str, int],
    at_us: int,
    parameters: str = "",
    served_tier: str = "",
) -> RateTable:
    """Return the rates of a price for a call; ``PriceBook.cost_of`` describes the arguments."""
    if period.thresholds or ((parameters or served_tier) and period.variants):
        input_tokens = input_tokens_of(usage) if period.thresholds else 0
        return period.table_for(conditions_of(parameters, served_tier), at_us, input_tokens)
    return period.standard


def _has_tier(period: Period, tier: str) -> bool:
    if tier not in TIERS_WITH_OWN_PRICES:
        return True
    conditions = served_by(tier, NO_CONTEXT).items()
    return any(variant.when.items() & conditions for variant in period.variants)


def total_of_given(cost_pico: Mapping[str, int]) -> int:
    """Return the total of a cost sent by a client, in picodollars: ``total``, or else the sum."""
    total = cost_pico.get("total")
    return sum(cost_pico.values()) if total is None else total


class _Override:
    """A compiled price of the control plane."""

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
    """Return rates by unit, or by usage type if its unit is unknown.

    The latter lets projects price usage types of their own.
    """
    return {unit_of(usage_type) or usage_type: Rate(pico) for usage_type, pico in prices.items()}


def _nothing_known(usage: Mapping[str, int]) -> Priced:
    return Priced({}, 0, "", has_price=False, unpriced=tuple(usage))


def _priced(table: RateTable, usage: Mapping[str, int], price_id: str) -> Priced:
    cost: dict[str, int] = {}
    unpriced: list[str] = []
    total_pico = saved_pico = 0
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
        fresh = FRESH_UNITS[usage_type]
        if fresh and (rate := table[fresh]) is not None:
            saved_pico += (rate * count if isinstance(rate, int) else rate.amount(count)) - pico
    if not cost:
        cost = _cost_of_total(table, usage)
        total_pico = sum(cost.values())
    if table.per_request is not None and cost and "requests" not in cost:
        cost["requests"] = pico = table.per_request.amount(1)
        total_pico += pico
    has_price = True
    if not cost and any(count > 0 for count in usage.values()):
        has_price, price_id = False, ""
    without_price = tuple(unpriced) if unpriced else ()
    if abs(saved_pico) > COST_MAX_PICO:  # a count or a price must be wrong
        saved_pico = COST_MAX_PICO if saved_pico > 0 else -COST_MAX_PICO
    return Priced(cost, total_pico, price_id, has_price, without_price, saved_pico=saved_pico)


def _cost_of_total(table: RateTable, usage: Mapping[str, int]) -> dict[str, int]:
    """Return the cost of a usage's total, for a usage without other priced types."""
    count = max((usage[key] for key in usage if unit_of(key) == "total"), default=0)
    rate = table.rate_of_total()
    return {"total": rate.amount(count)} if rate and count > 0 else {}
