"""Convert prices to the format of Langfuse's model definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from producers.control.kinds.price import LangfuseModel, LangfuseTier, Price, PriceTier
from query_api.money import PICO_PER_USD
from query_api.prices.defaults import DefaultPrice, DefaultTier
from query_api.times import iso, iso_or_none

_NOTHING: Final = LangfuseModel()
_INPUT: Final = "^(input|cache)"
"""Pattern of the usage types that are input tokens."""


class ModelPrice(msgspec.Struct):
    price: float


class PricingTier(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    name: str
    is_default: bool
    priority: int
    conditions: list[Any]
    prices: dict[str, float]

    @property
    def depends_on_usage_only(self) -> bool:
        return all("usageDetailPattern" in each for each in self.conditions)


class Model(msgspec.Struct, rename="camel", kw_only=True):
    id: str
    model_name: str
    match_pattern: str
    start_date: str | None
    unit: str | None
    input_price: float | None
    output_price: float | None
    total_price: float | None
    tokenizer_id: str | None
    tokenizer_config: Any
    is_langfuse_managed: bool
    """Whether it is a price of the installation or a shipped price, which projects cannot
    change."""
    created_at: str
    prices: dict[str, ModelPrice]
    pricing_tiers: list[PricingTier]


def model_of_record(price: Price) -> Model:
    """Convert a price of a project or of the installation."""
    extra = price.langfuse or _NOTHING
    prices = _usd(price.prices)
    model_id = extra.id or price.id
    tiers = [_default_tier(model_id, extra.default_tier, prices)]
    for number, tier in enumerate(price.tiers):
        given = extra.tiers[number] if number < len(extra.tiers) else _derived(tier, number)
        tiers.append(
            PricingTier(
                id=f"{model_id}-{given.priority}",
                name=given.name,
                is_default=False,
                priority=given.priority,
                conditions=msgspec.json.decode(given.conditions),
                prices=_usd(tier.prices),
            )
        )
    return Model(
        id=model_id,
        model_name=price.name or price.match,
        match_pattern=price.match if price.matching == "part" else f"(?i)^({price.match})$",
        start_date=iso_or_none(price.effective_from_us),
        unit=extra.unit,
        **_flat(prices),
        tokenizer_id=extra.tokenizer_id,
        tokenizer_config=msgspec.json.decode(extra.tokenizer_config),
        is_langfuse_managed=price.project_id is None,
        created_at=iso(price.created_us),
        prices={name: ModelPrice(usd) for name, usd in prices.items()},
        pricing_tiers=tiers,
    )


def id_of_default(price: DefaultPrice) -> str:
    """Return an id that can be part of a path without encoding, which clients omit."""
    return price.id.replace("#", "@")


def model_of_default(price: DefaultPrice) -> Model:
    """Convert a shipped price."""
    prices = _usd_per(price.prices)
    model_id = id_of_default(price)
    tiers = [_default_tier(model_id, "Standard", prices)]
    tiers += (
        PricingTier(
            id=f"{model_id}-{number}",
            name=f"Tier {number}",
            is_default=False,
            priority=number,
            conditions=[*_conditions(tier.input_above, {k: [v] for k, v in tier.when.items()})],
            prices=prices | _usd_per(tier.prices),
        )
        for number, tier in enumerate(_simple(price), start=1)
    )
    return Model(
        id=model_id,
        model_name=price.model,
        match_pattern=f"(?i){price.match}",
        start_date=iso_or_none(price.effective_from_us),
        unit="TOKENS",
        **_flat(prices),
        tokenizer_id=None,
        tokenizer_config=None,
        is_langfuse_managed=True,
        created_at=f"{price.as_of}T00:00:00.000Z",
        prices={name: ModelPrice(usd) for name, usd in prices.items()},
        pricing_tiers=tiers,
    )


def _simple(price: DefaultPrice) -> Iterator[DefaultTier]:
    """Yield the tiers without hours and with a condition other than a date.

    Langfuse's format has neither dates nor hours.
    """
    for tier in price.tiers:
        if tier.hours is None and (tier.when or tier.input_above is not None):
            yield tier


def _default_tier(model_id: str, name: str, prices: dict[str, float]) -> PricingTier:
    return PricingTier(
        id=f"{model_id}-0", name=name, is_default=True, priority=0, conditions=[], prices=prices
    )


def _derived(tier: PriceTier, number: int) -> LangfuseTier:
    """Return the Langfuse fields of a tier that was not created with the Langfuse API."""
    parameters = {"service_tier": list(tier.service_tiers)} if tier.service_tiers else {}
    conditions = [*_conditions(tier.input_above, parameters)]
    return LangfuseTier(
        name=f"Tier {number + 1}",
        priority=number + 1,
        conditions=msgspec.json.encode(conditions).decode(),
    )


def _conditions(
    input_above: int | None, parameters: Mapping[str, list[str]]
) -> Iterator[dict[str, Any]]:
    if input_above is not None:
        yield {
            "usageDetailPattern": _INPUT,
            "operator": "gt",
            "value": input_above,
            "caseSensitive": False,
        }
    for key, values in parameters.items():
        yield {"source": "model_parameters", "key": key, "operator": "in", "values": values}


def _flat(prices: Mapping[str, float]) -> dict[str, float | None]:
    return {f"{name}_price": prices.get(name) for name in ("input", "output", "total")}


def _usd(prices: Mapping[str, int]) -> dict[str, float]:
    return {name: pico / PICO_PER_USD for name, pico in prices.items()}


def _usd_per(prices: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    return {name: pico / (per * PICO_PER_USD) for name, (pico, per) in prices.items()}
