"""The default price list: who sells which model at what price, and how their names are told apart.

The data lies beside this module: ``prices/genai_prices.json`` is compiled from the package genai-prices by ``python -m deploy.compile_prices``;
``prices/supplement.json`` is kept by hand for what that lacks, each entry with its source and date. Both have the shape of ``PriceList``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from streams.core.pricing.models import readings
from streams.core.pricing.rates import Hours, Period, Rate, Variant

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US: Final = 3_600_000_000

_FILES: Final = ("supplement.json", "genai_prices.json")
"""In order of precedence: what is kept by hand fills gaps, and may correct."""

_MAKERS: Final = (
    *("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "alibaba"),
    *("moonshotai", "minimax", "zai", "zhipuai", "perplexity", "voyageai", "aws", "meta"),
    *("arcee", "typesafe", "elevenlabs", "cursor"),
)
"""Who sells models of their own: a bare name means theirs. All others host the models of others, each at a price of its own."""


class PriceEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Prices in force from a moment on, or at some hours of the day. ``rates`` by unit; a plain number is picodollars per unit."""

    rates: dict[str, int | Rate]
    from_us: int = 0
    hours: Hours | None = None


class VariantEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Prices under a condition; see ``streams.core.pricing.rates.Variant``."""

    when: dict[str, str]
    rates: dict[str, int | Rate]
    from_us: int = 0
    hours: Hours | None = None


class ModelEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model of a provider; a name is the model's if it is one of ``names`` or ``pattern`` is found in it. Names are lower case.

    Of ``prices`` the last that is in force counts; if none is, the first.
    """

    id: str
    prices: tuple[PriceEntry, ...]
    names: tuple[str, ...] = ()
    pattern: str = ""
    variants: tuple[VariantEntry, ...] = ()
    source: str = ""


class ProviderEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider of models and what identifies it. The file keeps short names of the fields."""

    id: str
    models: tuple[ModelEntry, ...]
    model_pattern: str = msgspec.field(default="", name="owns")
    """Pattern of model names that belong to the provider."""
    alias_pattern: str = msgspec.field(default="", name="called")
    """Pattern of names of the provider itself."""
    fallback_providers: tuple[str, ...] = msgspec.field(default=(), name="resells")
    """Ids of providers whose models it sells at their prices."""


class PriceList(msgspec.Struct, frozen=True):
    """A file of prices; ``as_of`` is the day its source was read."""

    source: str
    as_of: str
    providers: tuple[ProviderEntry, ...]


def _regex(pattern: str) -> re.Pattern[str] | None:
    return re.compile(pattern, re.IGNORECASE) if pattern else None


class _Provider:
    """One provider's models, indexed by name. The first model in the list that matches a name has it."""

    def __init__(self, entry: ProviderEntry) -> None:
        self.id = entry.id
        self.fallback_providers = entry.fallback_providers
        self.model_pattern = _regex(entry.model_pattern)
        self.alias_pattern = _regex(entry.alias_pattern)
        self._models = entry.models
        self._by_name: dict[str, int] = {}
        self._patterns: list[tuple[int, re.Pattern[str]]] = []
        for i, model in enumerate(entry.models):
            for name in model.names:
                self._by_name.setdefault(name, i)
            if model.pattern:
                self._patterns.append((i, re.compile(model.pattern)))

    def exact(self, name: str) -> ModelEntry | None:
        found = self._by_name.get(name)
        return None if found is None else self._models[found]

    def find(self, name: str) -> ModelEntry | None:
        found = self._by_name.get(name, len(self._models))
        for i, pattern in self._patterns:
            if i > found:
                break
            if pattern.search(name):
                found = i
                break
        return self._models[found] if found < len(self._models) else None


class DefaultPrices:
    """Answers which default prices a model id has."""

    def __init__(self, lists: tuple[PriceList, ...]) -> None:
        self.lists: Final = lists
        self._shelves = [
            {provider.id: _Provider(provider) for provider in prices.providers} for prices in lists
        ]
        self._ids = list(dict.fromkeys(id_ for shelf in self._shelves for id_ in shelf))
        self._hosts = [id_ for id_ in self._ids if id_ not in _MAKERS]

    def periods_of(self, model: str) -> tuple[Period, ...]:
        """The model's default prices, the one to prefer first; empty when there are none."""
        found = self.find(model)
        return _compiled(*found) if found else ()

    def find(self, model: str) -> tuple[str, ModelEntry] | None:
        """Return the entry that prices a model, with the id of its provider."""
        at_host = False
        for reading in readings(model):
            if reading.provider is not None:
                provider = self._provider_called(reading.provider)
                at_host = at_host or provider is not None
                found = provider and self._sold_by(provider, reading.name)
            else:
                found = self._sold_by_maker(reading.name)
                if not found and not at_host:
                    found = self._sold_by_hosts(reading.name)
            if found:
                return found
        return None

    def _provider_called(self, name: str) -> str | None:
        if name in self._ids:
            return name
        for provider in self._with_all():
            if provider.alias_pattern and provider.alias_pattern.search(name):
                return provider.id
        return None

    def _with_all(self) -> Iterator[_Provider]:
        return (provider for shelf in self._shelves for provider in shelf.values())

    def _sold_by(self, provider_id: str, name: str) -> tuple[str, ModelEntry] | None:
        for shelf in self._shelves:
            provider = shelf.get(provider_id)
            if provider is None:
                continue
            if model := provider.find(name):
                return provider_id, model
            for maker in provider.fallback_providers:
                if maker in shelf and (model := shelf[maker].find(name)):
                    return maker, model
        return None

    def _sold_by_maker(self, name: str) -> tuple[str, ModelEntry] | None:
        for provider in self._with_all():
            pattern = provider.model_pattern
            owns = pattern is not None and pattern.search(name)
            if owns and (found := self._sold_by(provider.id, name)):
                return found
        return next((found for id_ in _MAKERS if (found := self._sold_by(id_, name))), None)

    def _sold_by_hosts(self, name: str) -> tuple[str, ModelEntry] | None:
        """A name that makers do not know is priced only if all hosts that know it agree: a wrong price is worse than none."""
        found = [
            (id_, model)
            for shelf in self._shelves
            for id_ in self._hosts
            if id_ in shelf and (model := shelf[id_].exact(name))
        ]
        agree = len({msgspec.json.encode((model.prices, model.variants)) for _, model in found})
        return found[0] if agree == 1 else None


def _compiled(provider_id: str, model: ModelEntry) -> tuple[Period, ...]:
    variants = tuple(
        Variant(entry.when, _rates(entry.rates), entry.from_us, entry.hours)
        for entry in model.variants
    )
    first, *later = model.prices
    periods = [
        Period(
            price_id_of(provider_id, model, entry),
            _rates(entry.rates),
            variants,
            entry.from_us,
            entry.hours,
        )
        for entry in later
    ]
    # The last that is in force counts; the first speaks for all other moments.
    price_id = price_id_of(provider_id, model, first)
    return (*reversed(periods), Period(price_id, _rates(first.rates), variants))


def price_id_of(provider_id: str, model: ModelEntry, entry: PriceEntry) -> str:
    """Return the id that costs by this price name."""
    since = "" if entry is model.prices[0] else _since(entry)
    return f"{provider_id}/{model.id}{since}"


def _since(entry: PriceEntry) -> str:
    """What tells a later price of a model from its first: the day, or the hour, it begins."""
    hour = f"T{entry.hours.start_us // HOUR_US:02d}" if entry.hours else ""
    day = (EPOCH + timedelta(microseconds=entry.from_us)).date().isoformat()
    return f"#{day if entry.from_us else ''}{hour}"


def _rates(rates: dict[str, int | Rate]) -> dict[str, Rate]:
    return {unit: Rate(rate) if isinstance(rate, int) else rate for unit, rate in rates.items()}


@cache
def default_prices() -> DefaultPrices:
    """The price list that ships with this version; read once."""
    folder = files("streams.core.pricing") / "prices"
    decode = msgspec.json.Decoder(PriceList).decode
    return DefaultPrices(tuple(decode((folder / name).read_bytes()) for name in _FILES))
