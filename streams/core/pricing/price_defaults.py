"""The default price list: providers, their models and prices.

``prices/genai_prices.json`` is compiled from the package genai-prices by ``python -m
deploy.compile_prices``. ``prices/supplement.json`` is maintained by hand for models missing there,
with source and date per entry. Both are encoded as ``PriceList``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec

from streams.core.pricing.models import NameCandidate, name_candidates, undated_bedrock_name
from streams.core.pricing.plain_modalities import plain_units_of, with_plain_units
from streams.core.pricing.rates import Hours, Period, Rate, Variant

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US: Final = 3_600_000_000
PROVIDERS_OF_MODELS_MAX: Final = 4_000
"""Maximum number of models whose provider is cached."""

_FILES: Final = ("supplement.json", "genai_prices.json")
"""Files in order of precedence: manual entries override compiled ones."""

_BEDROCK_SCOPES: Final = ("regional.", "global.")
"""Prefixes of the ids of Bedrock models whose price depends on the region."""

_MAKERS: Final = (
    *("openai", "anthropic", "google", "mistral", "deepseek", "x-ai", "cohere", "alibaba"),
    *("moonshotai", "minimax", "zai", "zhipuai", "perplexity", "voyageai", "aws", "meta"),
    *("arcee", "typesafe", "elevenlabs", "cursor"),
)
"""Providers that develop models; the others host models of other providers at their own prices."""


class PriceEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Prices that apply from a time on, or at some hours of the day.

    ``rates`` are by unit; a plain number is picodollars per unit.
    """

    rates: dict[str, int | Rate]
    from_us: int = 0
    hours: Hours | None = None


class VariantEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Prices that apply under a condition; see ``streams.core.pricing.rates.Variant``."""

    when: dict[str, str]
    rates: dict[str, int | Rate]
    from_us: int = 0
    hours: Hours | None = None


class ModelEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model of a provider, identified by one of ``names`` or by a match of ``pattern``.

    Names are lower case. Of the ``prices`` in force, the last applies; if none is, the first.
    """

    id: str
    prices: tuple[PriceEntry, ...]
    names: tuple[str, ...] = ()
    pattern: str = ""
    variants: tuple[VariantEntry, ...] = ()
    source: str = ""


class ProviderEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider of models and its names; the file has shorter names of the fields."""

    id: str
    models: tuple[ModelEntry, ...]
    model_pattern: str = msgspec.field(default="", name="owns")
    """Pattern of the names of the provider's own models."""
    alias_pattern: str = msgspec.field(default="", name="called")
    """Pattern of other names of the provider."""
    fallback_providers: tuple[str, ...] = msgspec.field(default=(), name="resells")
    """Ids of the providers whose models this provider sells at their prices."""


class PriceList(msgspec.Struct, frozen=True):
    """A file of prices; ``as_of`` is the date of its source."""

    source: str
    as_of: str
    providers: tuple[ProviderEntry, ...]


def _regex(pattern: str) -> re.Pattern[str] | None:
    return re.compile(pattern, re.IGNORECASE) if pattern else None


class _Provider:
    """The models of one provider by name; if several match a name, the first is used."""

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
            if model.id.startswith(_BEDROCK_SCOPES):
                self._by_name.setdefault(undated_bedrock_name(model.id), i)
            if model.pattern:
                self._patterns.append((i, re.compile(model.pattern)))

    def exact(self, name: str) -> ModelEntry | None:
        found = self._by_name.get(name)
        return None if found is None else self._models[found]

    def find(self, name: str, *, is_exact: bool = False) -> ModelEntry | None:
        if is_exact:
            return self.exact(name)
        found = self._by_name.get(name, len(self._models))
        for i, pattern in self._patterns:
            if i > found:
                break
            if pattern.search(name):
                found = i
                break
        return self._models[found] if found < len(self._models) else None


class Resolved(NamedTuple):
    """The entry with the prices of a model, and the form of the model's name that matched it."""

    provider: str
    entry: ModelEntry
    candidate: NameCandidate


class DefaultPrices:
    """The default prices of model ids."""

    def __init__(self, lists: tuple[PriceList, ...]) -> None:
        self.lists: Final = lists
        self._by_list = [
            {provider.id: _Provider(provider) for provider in prices.providers} for prices in lists
        ]
        self._ids = list(dict.fromkeys(id_ for providers in self._by_list for id_ in providers))
        self._hosts = [id_ for id_ in self._ids if id_ not in _MAKERS]
        self._provider_of: dict[str, str] = {}

    def periods_of(self, resolved: Resolved | None) -> tuple[Period, ...]:
        """Return the prices of an entry in order of preference."""
        return _compiled(resolved.provider, resolved.entry) if resolved else ()

    def list_of(self, resolved: Resolved) -> PriceList:
        """Return the list that contains the entry of ``resolved``."""
        return next(
            prices
            for prices in self.lists
            for provider in prices.providers
            if provider.id == resolved.provider
            and any(model is resolved.entry for model in provider.models)
        )

    def find(self, model: str) -> tuple[str, ModelEntry] | None:
        """Return the entry with the prices of a model, after the id of its provider."""
        found = self.resolve(model)
        return found and (found.provider, found.entry)

    def resolve(self, model: str) -> Resolved | None:
        """Return the entry with the prices of a model, and the form of its name that matched."""
        names_provider = False
        for candidate in name_candidates(model):
            name, is_exact = candidate.name, candidate.is_exact
            if candidate.provider is not None:
                provider = self._provider_id_of(candidate.provider)
                names_provider = names_provider or provider is not None
                found = provider and self._find_at_provider(provider, name, is_exact=is_exact)
            else:
                found = self._find_at_makers(name, is_exact=is_exact)
                if not found and not names_provider:
                    found = self._find_at_hosts(name)
            if found:
                return Resolved(*found, candidate)
        return None

    def provider_of(self, model: str) -> str:
        """Return the provider of a model by its name; empty if it is unknown.

        It is the one that the name states, or the one whose price applies.
        """
        provider = self._provider_of.get(model)
        if provider is None:
            resolved = self.resolve(model)
            provider = "" if resolved is None else resolved.candidate.provider or resolved.provider
            if len(self._provider_of) >= PROVIDERS_OF_MODELS_MAX:
                self._provider_of.clear()
            self._provider_of[model] = provider
        return provider

    def _provider_id_of(self, name: str) -> str | None:
        if name in self._ids:
            return name
        for provider in self._all_providers():
            if provider.alias_pattern and provider.alias_pattern.search(name):
                return provider.id
        return None

    def _all_providers(self) -> Iterator[_Provider]:
        return (provider for providers in self._by_list for provider in providers.values())

    def _find_at_provider(
        self, provider_id: str, name: str, *, is_exact: bool = False
    ) -> tuple[str, ModelEntry] | None:
        for providers in self._by_list:
            provider = providers.get(provider_id)
            if provider is None:
                continue
            if model := provider.find(name, is_exact=is_exact):
                return provider_id, model
            for maker in provider.fallback_providers:
                if maker in providers and (model := providers[maker].find(name, is_exact=is_exact)):
                    return maker, model
        return None

    def _find_at_makers(self, name: str, *, is_exact: bool) -> tuple[str, ModelEntry] | None:
        for provider in self._all_providers():
            pattern = provider.model_pattern
            is_own = pattern is not None and pattern.search(name)
            if is_own and (found := self._find_at_provider(provider.id, name, is_exact=is_exact)):
                return found
        found_at = (self._find_at_provider(id_, name, is_exact=is_exact) for id_ in _MAKERS)
        return next(filter(None, found_at), None)

    def _find_at_hosts(self, name: str) -> tuple[str, ModelEntry] | None:
        """Return a hosted model if all hosts that list the name have the same price.

        Otherwise the model has no price, because a wrong price is worse than none.
        """
        found = [
            (id_, model)
            for providers in self._by_list
            for id_ in self._hosts
            if id_ in providers and (model := providers[id_].exact(name))
        ]
        agree = len({msgspec.json.encode((model.prices, model.variants)) for _, model in found})
        return found[0] if agree == 1 else None


def _compiled(provider_id: str, model: ModelEntry) -> tuple[Period, ...]:
    plain = plain_units_of(provider_id, model.id)

    def rates_of(entry: PriceEntry | VariantEntry) -> dict[str, Rate]:
        return with_plain_units(_rates(entry.rates), plain)

    variants = tuple(
        Variant(entry.when, rates_of(entry), entry.from_us, entry.hours) for entry in model.variants
    )
    first, *later = model.prices
    periods = [
        Period(
            price_id_of(provider_id, model, entry),
            rates_of(entry),
            variants,
            entry.from_us,
            entry.hours,
        )
        for entry in later
    ]
    # The last entry in force applies. The first entry applies if no other is in force.
    price_id = price_id_of(provider_id, model, first)
    return (*reversed(periods), Period(price_id, rates_of(first), variants))


def price_id_of(provider_id: str, model: ModelEntry, entry: PriceEntry) -> str:
    """Return the id of a price, which is stored in rows with a computed cost."""
    since = "" if entry is model.prices[0] else _since(entry)
    return f"{provider_id}/{model.id}{since}"


def _since(entry: PriceEntry) -> str:
    """Return the suffix that distinguishes a later price of a model: its first day or hour."""
    hour = f"T{entry.hours.start_us // HOUR_US:02d}" if entry.hours else ""
    day = (EPOCH + timedelta(microseconds=entry.from_us)).date().isoformat()
    return f"#{day if entry.from_us else ''}{hour}"


def _rates(rates: dict[str, int | Rate]) -> dict[str, Rate]:
    return {unit: Rate(rate) if isinstance(rate, int) else rate for unit, rate in rates.items()}


@cache
def default_prices() -> DefaultPrices:
    """Return the price list of this version, read once."""
    folder = files("streams.core.pricing") / "prices"
    decode = msgspec.json.Decoder(PriceList).decode
    return DefaultPrices(tuple(decode((folder / name).read_bytes()) for name in _FILES))
