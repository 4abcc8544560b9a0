"""A model is found under every name that SDKs, gateways and clouds give it, at the right price."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from producers.provider_names import PROVIDER_OF
from streams.core.pricing.models import name_candidates
from streams.core.pricing.price_defaults import _MAKERS, DefaultPrices, default_prices

DEFAULTS = default_prices()


def found(name: str) -> str | None:
    resolved = DEFAULTS.resolve(name)
    return resolved and f"{resolved.provider}/{resolved.entry.id}"


def prices_of(defaults: DefaultPrices, name: str) -> object:
    resolved = defaults.resolve(name)
    return resolved and (resolved.entry.prices, resolved.entry.variants)


def listed_names() -> Iterator[tuple[str, str]]:
    for prices in DEFAULTS.lists:
        for provider in prices.providers:
            for model in provider.models:
                for name in model.names:
                    yield provider.id, name


def spellings(provider: str, name: str) -> Iterator[str]:
    aliases = [alias for alias, of in PROVIDER_OF.items() if of == provider]
    for alias in (provider, *aliases):
        yield f"{alias}/{name}"
        yield f"{alias}:{name}"
    yield f"{provider}/{name}".upper()
    yield f" {provider}:{name} "
    yield f"litellm_proxy/{provider}/{name}"
    yield f"litellm:{provider}/{name}"
    yield f"gateway/{provider}:{name}"
    if provider != "openrouter":
        yield f"{provider}/{name}:nitro"


def test_every_listed_model_has_one_price_under_all_prefixes_of_its_provider() -> None:
    checked, wrong = 0, []
    for provider, name in listed_names():
        expected = prices_of(DEFAULTS, f"{provider}/{name}")
        assert expected is not None, (provider, name)
        for spelling in spellings(provider, name):
            checked += 1
            if prices_of(DEFAULTS, spelling) != expected:
                wrong.append((spelling, found(spelling)))
    assert not wrong
    assert checked > 20_000


RESOLD = {"arcee", "aws", "cursor", "zai"}
"""Providers that sell models of others, or whose models another one sells under the same name."""


def test_a_model_without_a_provider_has_the_price_of_its_maker() -> None:
    checked = 0
    for provider, name in listed_names():
        is_resold = provider in RESOLD or (provider == "google" and "claude" in name)
        if provider in _MAKERS and not is_resold and "/" not in name:
            expected = prices_of(DEFAULTS, f"{provider}/{name}")
            for spelling in (name, name.upper(), f" {name}"):
                assert prices_of(DEFAULTS, spelling) == expected, spelling
            checked += 1
    assert checked > 500


BEDROCK = "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"
GLOBAL = "aws/global.anthropic.claude-sonnet-4-5-20250929-v1:0"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("name", "price"),
    [
        # Bedrock bills its regional price unless the inference profile is global.
        (f"us.{SONNET}", BEDROCK),
        (f"bedrock:us.{SONNET}", BEDROCK),
        (f"bedrock/eu.{SONNET}", BEDROCK),
        (f"bedrock/converse/jp.{SONNET}", BEDROCK),
        (f"converse/us.{SONNET}", BEDROCK),
        (f"bedrock_converse:{SONNET}", BEDROCK),
        (f"bedrock/us-east-1/{SONNET}", BEDROCK),
        (f"litellm_proxy/bedrock/us.{SONNET}", BEDROCK),
        ("bedrock/us.anthropic.claude-sonnet-4-5", BEDROCK),
        ("anthropic.claude-sonnet-4-5", BEDROCK),
        ("bedrock:claude-sonnet-4-5", BEDROCK),
        ("aws/claude-sonnet-4-5-20250929", BEDROCK),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{SONNET}", BEDROCK),
        (f"arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.{SONNET}", BEDROCK),
        (f"arn:aws:bedrock:eu-west-1::foundation-model/{SONNET}", BEDROCK),
        (f"bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/global.{SONNET}", GLOBAL),
        (f"global.{SONNET}", GLOBAL),
        ("global.anthropic.claude-sonnet-4-5", GLOBAL),
        # Their ids are random, or names that the customer chose.
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", None),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/gpt-4o", None),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/gpt-4o", None),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/gpt-4o", None),
        ("azure/my-deployment", None),
        ("projects/p/locations/us/endpoints/123", None),
        # Fine-tuned models have prices of their own.
        ("ft:gpt-4.1-2025-04-14:acme::abc", "openai/ft:gpt-4.1"),
        ("openai:ft:gpt-4.1-mini-2025-04-14:acme::abc", "openai/ft:gpt-4.1-mini"),
        ("openai/ft:gpt-4.1-nano-2025-04-14:acme:x:abc", "openai/ft:gpt-4.1-nano"),
        ("ft:gpt-4.1", "openai/ft:gpt-4.1"),
        ("ft:gpt-4o-2024-08-06:acme::abc", "openai/ft:gpt-4o"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai/ft:gpt-4o-mini"),
        ("ft:o4-mini-2025-04-16:acme::abc", "openai/ft:o4-mini"),
        ("ft:gpt-9:acme::abc", None),
        # OpenRouter's suffixes: free models cost nothing, other suffixes only choose a host.
        ("deepseek/deepseek-r1:free", "openrouter/free"),
        ("openai/gpt-4o:nitro", "openai/gpt-4o"),
        ("openai/gpt-4o:floor", "openai/gpt-4o"),
        ("anthropic/claude-3.7-sonnet:thinking", "anthropic/claude-3-7-sonnet-latest"),
        ("openrouter/openai/gpt-4o:online", "openrouter/openai/gpt-4o"),
        ("openrouter:anthropic/claude-sonnet-4", "openrouter/anthropic/claude-sonnet-4"),
        # Wrappers, aliases, dates.
        ("google-gla:gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("google-vertex:gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("google_genai:gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("publishers/google/models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("vertex_ai/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("grok:grok-3", "x-ai/grok-3"),
        ("gateway/openai:gpt-4o", "openai/gpt-4o"),
        ("litellm:gpt-4o", "openai/gpt-4o"),
        ("github:gpt-4o-mini", "openai/gpt-4o-mini"),
        ("claude-sonnet-4-5-latest", "anthropic/claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
        ("azure/gpt-35-turbo", "openai/gpt-3.5-turbo"),
        ("accounts/fireworks/models/qwen3-235b-a22b", "fireworks/qwen3-235b-a22b"),
        ("fireworks_ai/accounts/fireworks/models/qwen3-235b-a22b", "fireworks/qwen3-235b-a22b"),
        ("@cf/meta/llama-3.1-8b-instruct", "cloudflare/@cf/meta/llama-3.1-8b-instruct"),
        ("GPT 4o", "openai/gpt-4o"),
        ("Claude Sonnet 4.5", "anthropic/claude-sonnet-4-5"),
        ("Gemini 2.5 Flash", "google/gemini-2.5-flash"),
        # Models on the user's own machine have no price.
        ("ollama/gpt-4o", None),
        ("ollama:llama3", None),
        ("deepseek-r1:14b", None),
        ("mixtral:8x7b-instruct-q4_K_M", None),
    ],
)  # fmt: skip
def test_a_name_is_read_as_what_it_means(name: str, price: str | None) -> None:
    assert found(name) == price
    assert found(name.upper()) == price


def test_the_regional_price_of_bedrock_is_above_the_global_one() -> None:
    regional, at_global = (
        DEFAULTS.resolve(f"{region}.{SONNET}").entry.prices[0].rates["input"]  # type: ignore[union-attr]
        for region in ("eu", "global")
    )
    assert (regional, at_global) == (3_300_000, 3_000_000)


def test_a_reading_says_what_was_removed() -> None:
    resolved = DEFAULTS.resolve("litellm_proxy/openai/gpt-4o-mini-2031-01-01:nitro")
    assert resolved is not None
    assert resolved.candidate.steps == (
        "prefix litellm_proxy/ removed",
        "provider openai",
        "suffix :nitro removed",
        "suffix -2031-01-01 removed",
    )


def test_a_name_has_few_candidates() -> None:
    assert len(list(name_candidates("bedrock:" * 30 + "us.anthropic.x"))) < 200
    assert len(list(name_candidates("openrouter/" * 20 + "a b@c:nitro"))) < 400
