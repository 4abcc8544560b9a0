"""The compiled price list equals genai-prices for every model, usage, time and tier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache

import msgspec
import pytest
from genai_prices import Usage
from genai_prices import types as theirs
from genai_prices.data import providers
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data

from deploy.compile_prices import TARGET, compiled_list, encoded
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.price_defaults import DefaultPrices, ModelEntry, PriceList, ProviderEntry

# Ours, in buckets that do not overlap.
USAGES: tuple[dict[str, int], ...] = (
    {"input": 1_000, "output": 321},
    {"input": 12_345, "cache_read": 100_000, "output": 77},
    {"input": 200_000, "cache_read": 1, "cache_write": 5, "output": 10},
    {"input": 3, "cache_write_5m": 7, "cache_write_1h": 11, "cache_read": 13, "output": 17},
    {"input": 500_001, "output": 9, "output_reasoning": 1_234},
    {"input": 10, "input_audio": 600, "input_image": 700, "output_audio": 5, "output_image": 3},
    {"input": 10, "cache_audio_read": 6, "cache_image_read": 7, "input_video": 5, "output": 1},
    {"output_citation": 30, "output": 5, "input": 5, "web_searches": 3, "storage_searches": 2},
    {"input": 1, "input_characters": 1_000, "input_document_pages": 3, "input_text_messages": 2},
    {"input": 1, "input_audio_seconds": 3_600, "output": 5},
)
MOMENTS = (
    datetime(2024, 1, 1, 3, tzinfo=UTC),
    datetime(2025, 9, 30, 8, tzinfo=UTC),
    datetime(2026, 11, 20, 18, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 30, tzinfo=UTC),
)
CONTEXTS: tuple[dict[str, str], ...] = (
    {},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"processing": "batch"},
    {"processing": "batch", "service_tier": "priority", "speed": "fast"},
)


@cache
def _committed() -> PriceList:
    return msgspec.json.decode(TARGET.read_bytes(), type=PriceList)


def _book_of(model: ModelEntry) -> PriceBook:
    """Return a price book with this one model, named "m"."""
    only = ModelEntry(id="m", prices=model.prices, names=("m",), variants=model.variants)
    shelf = PriceList("test", "2026-01-01", (ProviderEntry("openai", (only,)),))
    return PriceBook(DefaultPrices((shelf,)))


@cache
def _their_usage(usage_json: str) -> Usage:
    """Return the usage in their form, where general units include the more specific ones."""
    usage: Mapping[str, int] = json.loads(usage_json)
    dimensions = {key.replace("_tokens", ""): unit["dimensions"] for key, unit in unit_data.items()}
    return Usage(
        **{
            key: sum(
                count
                for name, count in usage.items()
                if unit["dimensions"].items() <= dimensions[name].items()
            )
            for key, unit in unit_data.items()
            if key != "requests"
        }
    )


def test_the_committed_list_is_what_the_generator_makes_of_the_installed_package() -> None:
    assert TARGET.read_bytes() == encoded(compiled_list(_committed().as_of))


@pytest.mark.parametrize("shelf", range(len(providers)), ids=[p.id for p in providers])
def test_every_model_costs_what_genai_prices_says(shelf: int) -> None:
    pairs = zip(_committed().providers[shelf].models, providers[shelf].models, strict=True)
    for entry, model in pairs:
        book = _book_of(entry)
        plain = isinstance(model.prices, theirs.ModelPrice) and not model.price_variants
        for moment in MOMENTS[:1] if plain else MOMENTS:
            at_us = int(moment.timestamp()) * 1_000_000
            # Before its date in the package, a tier has no price there, and its first price here.
            dated = model.price_variants and moment is MOMENTS[-1]
            for context in CONTEXTS if dated else CONTEXTS[:1]:
                price = model.get_prices(moment, context)
                parameters = json.dumps(context)
                for usage in USAGES:
                    ours = book.cost_of("p", "m", usage, at_us, parameters)
                    # Tokens of a modality without a price cost there as much as text.
                    priced = {name: n for name, n in usage.items() if name not in ours.unpriced}
                    expected = price.calc_price(_their_usage(json.dumps(priced)))["total_price"]
                    exact = Fraction(expected) * 10**12
                    where = (model.id, moment, context, usage, ours)
                    if ours.has_price:
                        # Each part is rounded to a picodollar where it is no whole number.
                        assert abs(ours.total_pico - exact) <= Fraction(len(usage), 2), where
                        assert exact.denominator != 1 or ours.total_pico == round(exact), where
                        assert ours.total_pico == sum(ours.cost.values()), where
                    else:
                        assert price.calc_price(Usage())["total_price"] == expected, where


def test_a_model_named_with_its_provider_is_the_model_that_genai_prices_finds() -> None:
    book = PriceBook()
    supplement = {"qwen", "embed", "rerank", "omni", "text-moderation"}
    checked = 0
    for provider, entry in zip(providers, _committed().providers, strict=True):
        for name in (name for model in entry.models for name in model.names):
            if name.startswith(tuple(supplement)) or name.endswith(":free"):
                continue
            found = get_snapshot().find_provider_model(name, None, provider.id, None)[1]
            usage = {"input": 1, "web_searches": 1, "audio_seconds": 1}
            priced = book.cost_of("p", f"{provider.id}/{name}", usage, 1_800_000_000_000_000)
            if priced.has_price:
                assert priced.price_id.split("#")[0] == f"{provider.id}/{found.id}", name
                checked += 1
    assert checked > 2_000
