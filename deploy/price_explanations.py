"""Explain costs to the query API and the command line, by the rules of the stream processors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from producers.control.kinds.price import Price
from producers.gateway.values.stated_costs import cost_in, total_of
from query_api.money import usd_text
from query_api.prices.amounts import usd_per_million
from query_api.prices.explained import (
    ExplainedAmount,
    ExplainedCost,
    ExplainedPriceOut,
    ExplainedTier,
    HoursOut,
    UnpricedUsage,
)
from query_api.times import iso, iso_or_none
from streams.core.pricing.explanation import ExplainedPrice, Explanation, explain
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.rates import Hours, Rate, Variant

MINUTE_US: Final = 60_000_000


class BilledPrices:
    """Explanations of costs; the prices that were compiled for the last one are cached."""

    def __init__(self) -> None:
        self._book: PriceBook | None = None

    def explain(
        self,
        prices: Iterable[Price],
        project_id: str,
        model: str,
        usage: Mapping[str, Any],
        at_us: int,
        service_tier: str = "",
    ) -> ExplainedCost:
        book = self._book_of(prices)
        found = explain(book, project_id, model, usage, at_us, service_tier=service_tier)
        return _shown(found, model, at_us, cost_in(usage))

    def price_ids(
        self, prices: Iterable[Price], project_id: str, models: Sequence[str], at_us: int
    ) -> list[str | None]:
        book = self._book_of(prices)
        return [book.price_id_of(project_id, model, at_us) for model in models]

    def _book_of(self, prices: Iterable[Price]) -> PriceBook:
        self._book = (self._book or PriceBook()).with_prices(prices)
        return self._book


def _shown(
    found: Explanation, model: str, at_us: int, stated_pico: dict[str, int]
) -> ExplainedCost:
    return ExplainedCost(
        model=model,
        at=iso(at_us),
        price=None if found.price is None else _price(found.price),
        reason=found.reason or None,
        cost_usd=None if found.total_pico is None else usd_text(found.total_pico),
        stated_cost_usd=usd_text(total_of(stated_pico)) if stated_pico else None,
        amounts=[
            ExplainedAmount(
                usage_type=each.usage_type,
                count=each.count,
                priced_as=each.priced_as,
                usd_per_million=usd_per_million(each.rate.pico, each.rate.per),
                cost_usd=usd_text(each.cost_pico),
            )
            for each in found.amounts
        ],
        unpriced=[
            UnpricedUsage(usage_type=each.usage_type, count=each.count, reason=each.reason)
            for each in found.unpriced
        ],
        usage=dict(found.usage),
        usage_uncertain=found.usage_uncertain or None,
        conditions=dict(found.conditions),
        tiers=[_tier(each) for each in found.tiers],
        input_tokens=found.input_tokens,
        above_input_tokens=found.above_input_tokens,
        usd_per_million=_rates(found.rates),
        reading=list(found.reading),
        candidates=[_price(each) for each in found.candidates],
    )


def _price(price: ExplainedPrice) -> ExplainedPriceOut:
    created = iso(price.created_us) if price.created_us else None
    return ExplainedPriceOut(
        id=price.id,
        origin=price.origin,
        provider=price.provider,
        model=price.model,
        match=price.match,
        matching=price.matching,
        effective_from=iso_or_none(price.effective_from_us),
        hours=_hours(price.hours),
        source=price.source,
        as_of=price.as_of or created,
        outcome=price.outcome,
    )


def _tier(tier: Variant) -> ExplainedTier:
    return ExplainedTier(
        input_above=tier.input_above if tier.input_above >= 0 else None,
        when=tier.when,
        effective_from=iso_or_none(tier.from_us),
        hours=_hours(tier.hours),
        usd_per_million=_rates(tier.rates),
    )


def _rates(rates: Mapping[str, Rate]) -> dict[str, str]:
    return {unit: usd_per_million(rate.pico, rate.per) for unit, rate in rates.items()}


def _hours(hours: Hours | None) -> HoursOut | None:
    if hours is None:
        return None
    start, end = (
        f"{minute // 60:02d}:{minute % 60:02d}"
        for minute in (hours.start_us // MINUTE_US, hours.end_us // MINUTE_US)
    )
    return HoursOut(start, end)
