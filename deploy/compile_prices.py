"""Compile the price data of the package genai-prices into the default price list.

Run ``python -m deploy.compile_prices`` after an update of the package, read the diff of
``streams/core/pricing/prices/genai_prices.json``, run the tests and commit. The package is not
needed at run time. Money is converted to integer picodollars, match clauses to names and regular
expressions, dates to microseconds. ``streams.core.pricing.price_defaults`` defines the format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import version
from math import lcm
from pathlib import Path
from typing import Final

import msgspec
from genai_prices import types as genai
from genai_prices.data import providers
from genai_prices.data_units import unit_data

from streams.core.pricing.price_defaults import (
    ModelEntry,
    PriceEntry,
    PriceList,
    ProviderEntry,
    VariantEntry,
)
from streams.core.pricing.rates import Hours, Rate, Step

PICO: Final = 10**12
TARGET: Final = Path(__file__).parent.parent / "streams/core/pricing/prices/genai_prices.json"

_UNITS: Final = {
    unit["price_key"]: (usage_key.replace("_tokens", ""), unit["per"])
    for usage_key, unit in unit_data.items()
}


def compiled_list(as_of: str) -> PriceList:
    """Return the prices of all providers of the installed package; ``as_of`` is an ISO date."""
    return PriceList(
        source=f"genai-prices {version('genai-prices')}",
        as_of=as_of,
        providers=tuple(_provider(provider) for provider in providers),
    )


def encoded(prices: PriceList) -> bytes:
    """Encode the list as JSON with one model per line, so that updates give readable diffs."""
    head = {"source": prices.source, "as_of": prices.as_of}
    providers_json = []
    for provider in prices.providers:
        models = ",\n".join(msgspec.json.encode(model).decode() for model in provider.models)
        fields = msgspec.to_builtins(provider)
        fields["models"] = []
        opening = msgspec.json.encode(fields).decode()
        providers_json.append(opening.replace('"models":[]', f'"models":[\n{models}\n]'))
    body = ",\n".join(providers_json)
    opening = msgspec.json.encode(head).decode().removesuffix("}")
    return f'{opening},"providers":[\n{body}\n]}}\n'.encode()


def _provider(provider: genai.Provider) -> ProviderEntry:
    return ProviderEntry(
        id=provider.id,
        models=tuple(_model(model) for model in provider.models),
        model_pattern=_pattern(provider.model_match) if provider.model_match else "",
        alias_pattern=_pattern(provider.provider_match) if provider.provider_match else "",
        fallback_providers=tuple(provider.fallback_model_providers or ()),
    )


def _model(model: genai.ModelInfo) -> ModelEntry:
    names, patterns = _split(model.match)
    prices = (
        model.prices
        if isinstance(model.prices, list)
        else [genai.ConditionalPrice(prices=model.prices)]
    )
    entries = tuple(PriceEntry(_rates(price.prices), *_when(price.constraint)) for price in prices)
    if any(name.endswith(":free") for name in (model.id, *names)) and not entries[-1].rates:
        entries = (PriceEntry({"input": 0, "output": 0}),)
    return ModelEntry(
        id=model.id,
        names=tuple(names),
        pattern="|".join(patterns),
        prices=entries,
        variants=_variants(model.price_variants or ()),
    )


def _variants(variants: Sequence[genai.PriceVariant]) -> tuple[VariantEntry, ...]:
    """Return the prices under conditions; the first price of each condition has no start date.

    In the package, its date is when the price was recorded, not when it began to apply.
    """
    entries = [
        VariantEntry(variant.when, _rates(variant.prices), *_when(variant.constraint))
        for variant in variants
    ]
    first_us: dict[str, int] = {}
    for entry in entries:
        first_us[_key(entry)] = min(entry.from_us, first_us.get(_key(entry), entry.from_us))
    return tuple(
        msgspec.structs.replace(entry, from_us=0)
        if entry.from_us == first_us[_key(entry)]
        else entry
        for entry in entries
    )


def _key(entry: VariantEntry) -> str:
    return msgspec.json.encode((entry.when, entry.hours), order="deterministic").decode()


def _rates(price: genai.ModelPrice) -> dict[str, int | Rate]:
    rates: dict[str, int | Rate] = {}
    for key, value in price.__dict__.items():
        if value is None:
            continue
        unit, per = _UNITS[key]
        rates[unit] = _rate(value, per)
    return rates


def _rate(value: Decimal | genai.TieredPrices, per: int) -> int | Rate:
    base, tiers = (
        (value.base, value.tiers) if isinstance(value, genai.TieredPrices) else (value, [])
    )
    amounts = [Fraction(amount) * PICO / per for amount in (base, *(tier.price for tier in tiers))]
    common = lcm(*(amount.denominator for amount in amounts))
    first, *rest = (int(amount * common) for amount in amounts)
    if common == 1 and not rest:
        return first
    steps = tuple(Step(tier.start, pico) for tier, pico in zip(tiers, rest, strict=True))
    return Rate(first, common, steps)


def _when(
    constraint: genai.StartDateConstraint | genai.TimeOfDateConstraint | None,
) -> tuple[int, Hours | None]:
    """Return the start (Unix microseconds) and the hours of the day at which a price applies."""
    if isinstance(constraint, genai.StartDateConstraint):
        start = datetime.combine(constraint.start_date, time(), UTC)
        return int(start.timestamp()) * 1_000_000, None
    if isinstance(constraint, genai.TimeOfDateConstraint):
        return 0, Hours(_of_day_us(constraint.start_time), _of_day_us(constraint.end_time))
    return 0, None


def _of_day_us(moment: time) -> int:
    start = datetime.combine(datetime(1970, 1, 1, tzinfo=UTC), moment, moment.tzinfo or UTC)
    return int(start.timestamp()) % 86_400 * 1_000_000


def _split(clause: genai.MatchLogic) -> tuple[list[str], list[str]]:
    """Split a clause into exact names and regular expressions, any of which may match."""
    if isinstance(clause, genai.ClauseEquals):
        return [clause.equals.lower()], []
    if isinstance(clause, genai.ClauseOr):
        parts = [_split(part) for part in clause.or_]
        return [name for names, _ in parts for name in names], [
            pattern for _, patterns in parts for pattern in patterns
        ]
    return [], [_pattern(clause)]


def _pattern(clause: genai.MatchLogic) -> str:
    """Return a clause as one regular expression that is searched for in a lower-case name."""
    if isinstance(clause, genai.ClauseOr):
        return "|".join(f"(?:{_pattern(part)})" for part in clause.or_)
    if isinstance(clause, genai.ClauseAnd):
        return "^" + "".join(f"(?=.*(?:{_pattern(part)}))" for part in clause.and_)
    if isinstance(clause, genai.ClauseRegex):
        return clause.regex
    ((kind, text),) = vars(clause).items()
    start, end = {
        "equals": ("^", "$"),
        "starts_with": ("^", ""),
        "ends_with": ("", "$"),
        "contains": ("", ""),
    }[kind]
    return f"{start}{re.escape(text.lower())}{end}"


if __name__ == "__main__":
    today = datetime.now(UTC).date().isoformat()
    TARGET.write_bytes(encoded(compiled_list(today)))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")
