"""Convert the price list of the stream processors to the query API's default prices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from query_api.prices.defaults import DefaultPrice, DefaultTier
from streams.core.pricing.price_defaults import (
    ModelEntry,
    PriceEntry,
    PriceList,
    VariantEntry,
    default_prices,
    price_id_of,
)
from streams.core.pricing.rates import Hours, Rate

MINUTE_US: Final = 60_000_000


class ShippedPrices:
    """The price list of this version of tracemill, which is read on first use."""

    def every(self) -> Sequence[DefaultPrice]:
        """Return all prices, sorted by id."""
        return self._sorted

    def of_model(self, model: str) -> Sequence[DefaultPrice]:
        """Return the prices that match a model name, the preferred one first."""
        found = default_prices().find(model)
        if found is None:
            return ()
        provider, entry = found
        ids = [price_id_of(provider, entry, price) for price in entry.prices]
        return [self._by_id[each] for each in reversed(ids)]

    @cached_property
    def _by_id(self) -> Mapping[str, DefaultPrice]:
        found: dict[str, DefaultPrice] = {}
        for prices in default_prices().lists:
            for provider in prices.providers:
                for model in provider.models:
                    for each in _of_model(prices, provider.id, model):
                        # The lists are in order of precedence.
                        found.setdefault(each.id, each)
        return found

    @cached_property
    def _sorted(self) -> Sequence[DefaultPrice]:
        return sorted(self._by_id.values(), key=lambda each: each.id)


def _of_model(prices: PriceList, provider: str, model: ModelEntry) -> Iterator[DefaultPrice]:
    variants = [tier for each in model.variants for tier in _of_variant(each)]
    for entry in model.prices:
        yield DefaultPrice(
            id=price_id_of(provider, model, entry),
            provider=provider,
            model=model.id,
            match=_match(model),
            effective_from_us=entry.from_us,
            hours=_minutes(entry.hours),
            prices=_standard(entry.rates),
            tiers=(*variants, *_steps(entry)),
            source=model.source or prices.source,
            as_of=prices.as_of,
        )


def _of_variant(variant: VariantEntry) -> Iterator[DefaultTier]:
    """Yield tiers in order of precedence, those of long requests first."""
    for tier in _steps(variant):
        yield DefaultTier(
            input_above=tier.input_above,
            when=variant.when,
            effective_from_us=variant.from_us,
            hours=_minutes(variant.hours),
            prices=tier.prices,
        )
    yield DefaultTier(
        when=variant.when,
        effective_from_us=variant.from_us,
        hours=_minutes(variant.hours),
        prices=_standard(variant.rates),
    )


def _steps(entry: PriceEntry | VariantEntry) -> list[DefaultTier]:
    """Return the prices of long requests, the longest first."""
    stepped = {unit: rate for unit, rate in entry.rates.items() if isinstance(rate, Rate)}
    lengths = {step.over for rate in stepped.values() for step in rate.steps}
    return [
        DefaultTier(
            input_above=over,
            prices={
                unit: (rate.at(over + 1).pico, rate.per)
                for unit, rate in stepped.items()
                if rate.steps
            },
        )
        for over in sorted(lengths, reverse=True)
    ]


def _standard(rates: Mapping[str, int | Rate]) -> dict[str, tuple[int, int]]:
    return {
        unit: (rate.pico, rate.per) if isinstance(rate, Rate) else (rate, 1)
        for unit, rate in rates.items()
    }


def _match(model: ModelEntry) -> str:
    names = "|".join(map(re.escape, model.names))
    return "|".join(filter(None, (f"^(?:{names})$" if names else "", model.pattern)))


def _minutes(hours: Hours | None) -> tuple[int, int] | None:
    if hours is None:
        return None
    return hours.start_us // MINUTE_US, hours.end_us // MINUTE_US
