"""Tests costs computed by price books."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.values.usage import usage_of_object
from streams.core.pricing import price_book
from streams.core.pricing.price_book import PriceBook, total_of_given
from tests.streams.pricing.price_records_for_tests import NOW_US, Record

MILLION = 1_000_000


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


def test_each_usage_type_is_priced_once_at_its_own_price(book: PriceBook) -> None:
    usage = {
        "input": MILLION,
        "input_cached_tokens": MILLION,
        "output": MILLION,
        "total": 3 * MILLION,
    }
    priced = book.cost_of("p", "gpt-4o", usage, NOW_US)
    assert priced.cost == {
        "input": 2_500_000 * MILLION,
        "input_cached_tokens": 1_250_000 * MILLION,
        "output": 10_000_000 * MILLION,
    }
    assert priced.total_pico == 13_750_000 * MILLION == 13_750_000_000_000
    assert (priced.price_id, priced.has_price, priced.unpriced) == ("openai/gpt-4o", True, ())


def test_reasoning_costs_as_output_where_it_has_no_price_of_its_own(book: PriceBook) -> None:
    priced = book.cost_of("p", "o3-mini", {"output": 10, "output_reasoning_tokens": 90}, NOW_US)
    assert priced.total_pico == 100 * 4_400_000


def test_anthropics_cache_writes_have_a_price_for_each_lifetime(book: PriceBook) -> None:
    usage = {"input_cache_creation_5m": 100, "input_cache_creation_1h": 100, "cache_read": 100}
    priced = book.cost_of("p", "claude-3-5-sonnet-20241022", usage, NOW_US)
    assert list(priced.cost.values()) == [375_000_000, 600_000_000, 30_000_000]


@pytest.mark.parametrize(
    "usage_type",
    [
        "input_cached_tokens",
        "input_cache_read",
        "cache_read_input_tokens",
        "cached_content_token_count",
        "cachedContentTokenCount",
        "cachedInputTokens",
        "prompt_tokens_details.cached_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "cached_tokens",
        "prompt_cache_hit_tokens",
    ],
)
def test_all_spellings_of_cache_reads_have_the_same_unit(book: PriceBook, usage_type: str) -> None:
    assert book.cost_of("p", "gpt-4o", {usage_type: 1}, NOW_US).cost == {usage_type: 1_250_000}


@pytest.mark.parametrize(
    ("usage_type", "picodollars"),
    [
        ("input", 1), ("input_tokens", 1), ("prompt_tokens", 1), ("promptTokens", 1),
        ("prompt_token_count", 1), ("inputTokens", 1), ("input_text", 1), ("input_modality_1", 1),
        ("output", 2), ("output_tokens", 2), ("completion_tokens", 2),
        ("candidates_token_count", 2),
        ("output_text", 2), ("output_modality_1", 2), ("output_accepted_prediction_tokens", 2),
        ("output_rejected_prediction_tokens", 2),
        ("output_reasoning", 3), ("output_reasoning_tokens", 3), ("reasoning_tokens", 3),
        ("thoughts_token_count", 3), ("reasoningTokens", 3),
        ("input_cache_creation", 4), ("cache_creation_input_tokens", 4), ("cache_write_tokens", 4),
        ("input_cache_creation_5m", 5), ("ephemeral_5m_input_tokens", 5),
        ("input_cache_creation_1h", 6), ("ephemeral_1h_input_tokens", 6),
        ("input_audio", 7), ("input_audio_tokens", 7), ("output_audio_tokens", 8),
        ("input_image", 9), ("grounding_queries", 10), ("web_search_queries", 10),
    ],
)  # fmt: skip
def test_usage_types_of_the_sdk_have_their_units(usage_type: str, picodollars: int) -> None:
    prices = {
        "input": 1, "output": 2, "output_reasoning": 3, "cache_write": 4, "cache_write_5m": 5,
        "cache_write_1h": 6, "input_audio": 7, "output_audio": 8, "input_image": 9,
        "web_searches": 10,
    }  # fmt: skip
    book = PriceBook().with_prices([Record("r", "m", prices)])
    assert book.cost_of("p", "m", {usage_type: 1}, NOW_US).total_pico == picodollars


@pytest.mark.parametrize(
    ("usage_type", "picodollars"),
    [
        ("input_document_tokens", 2_500_000),
        ("input_flex_cache_read", 1_250_000),
        ("output_acoustic_tokens", 10_000_000),
        ("output_deep_thinking_tokens", 10_000_000),
    ],
)
def test_an_unknown_part_of_input_or_output_is_not_free(
    book: PriceBook, usage_type: str, picodollars: int
) -> None:
    assert book.cost_of("p", "gpt-4o", {usage_type: 1}, NOW_US).total_pico == picodollars


@pytest.mark.parametrize("usage_type", ["input_images", "output_seconds", "input_cost"])
def test_usage_types_that_are_not_tokens_are_not_priced_as_tokens(
    book: PriceBook, usage_type: str
) -> None:
    assert not book.cost_of("p", "gpt-4o", {usage_type: 1}, NOW_US).has_price


def test_every_bucket_that_the_gateway_makes_has_a_unit(book: PriceBook) -> None:
    usage = {
        "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
        "prompt_tokens_details": {
            "cached_tokens": 10, "audio_tokens": 20, "image_tokens": 5, "cache_creation": 7,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 30, "accepted_prediction_tokens": 5, "audio_tokens": 1,
        },
        "toolUsePromptTokenCount": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    }  # fmt: skip
    buckets = usage_of_object(usage).counts
    priced = book.cost_of("p", "gpt-4o", buckets, NOW_US)
    assert priced.unpriced == ("input_audio_tokens", "output_audio_tokens")
    priced_types = set(buckets) - {"total", *priced.unpriced}
    assert set(priced.cost) == {name for name in priced_types if buckets[name]}


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        (
            "gpt-4o-audio-preview",
            {"input": 100, "input_audio_tokens": 400, "output": 20, "output_audio_tokens": 80},
            "0.02285",
        ),
        ("gemini-2.5-pro", {"input": 100, "input_audio_tokens": 100}, "0.00025"),
        ("gemini-2.5-flash", {"input": 500, "input_cached_audio_tokens": 300}, "0.00018"),
        ("gpt-4o", {"input": 1000, "input_image_tokens": 1000}, "0.005"),
    ],
)
def test_tokens_of_a_modality_cost_its_price_or_a_documented_one(
    book: PriceBook, model: str, usage: dict[str, int], usd: str
) -> None:
    priced = book.cost_of("p", model, usage, NOW_US)
    assert (Decimal(priced.total_pico) / 10**12, priced.unpriced) == (Decimal(usd), ())


def test_the_tier_that_served_a_request_outranks_the_requested_one(book: PriceBook) -> None:
    usage = {"input": 1_000, "output": 100}
    requested = '{"service_tier":"auto"}'
    flex = book.cost_of("p", "gpt-5-mini", usage, NOW_US, requested, "flex")
    assert Decimal(flex.total_pico) / 10**12 == Decimal("0.000225")
    early = book.cost_of("p", "gpt-5-mini", usage, 1_756_000_000_000_000, requested, "flex")
    assert early.total_pico == flex.total_pico


def test_an_unknown_usage_type_costs_nothing_and_is_reported(book: PriceBook) -> None:
    priced = book.cost_of("p", "gpt-4o", {"input": 1, "smiles": 5}, NOW_US)
    assert priced.cost == {"input": 2_500_000}
    assert (priced.unpriced, priced.has_price) == (("smiles",), True)


def test_usage_without_any_price_is_unpriced_instead_of_free(book: PriceBook) -> None:
    priced = book.cost_of("p", "gpt-4o", {"smiles": 5}, NOW_US)
    assert (priced.cost, priced.has_price, priced.price_id) == ({}, False, "")


def test_an_unknown_model_has_no_price_instead_of_a_price_of_zero(book: PriceBook) -> None:
    priced = book.cost_of("p", "acme-9000", {"input": 5}, NOW_US)
    assert (priced.cost, priced.total_pico, priced.has_price) == ({}, 0, False)
    assert priced.unpriced == ("input",)


def test_local_models_have_no_list_price(book: PriceBook) -> None:
    assert not book.cost_of("p", "ollama/deepseek-r1", {"input": 5}, NOW_US).has_price


def test_a_free_variant_is_known_and_costs_nothing(book: PriceBook) -> None:
    priced = book.cost_of("p", "openrouter/acme/new-model:free", {"input": 5}, NOW_US)
    assert (priced.total_pico, priced.has_price) == (0, True)


def test_a_total_counts_only_when_nothing_else_does(book: PriceBook) -> None:
    model = "text-embedding-3-small"
    assert book.cost_of("p", model, {"total": 1_000}, NOW_US).cost == {"total": 20_000_000}
    both = {"input": 1_000, "total": 1_000, "totalTokens": 1_000}
    assert book.cost_of("p", model, both, NOW_US).cost == {"input": 20_000_000}


def test_a_total_of_tokens_at_two_prices_is_not_guessed(book: PriceBook) -> None:
    assert not book.cost_of("p", "gpt-4o", {"total": 1_000}, NOW_US).has_price


def test_above_its_threshold_a_whole_long_request_costs_more(book: PriceBook) -> None:
    short = {"input": 150_000, "cache_read": 50_000, "output": 10}
    long = {"input": 150_000, "cache_read": 50_001, "output": 10}
    model = "gemini-2.5-pro"
    assert book.cost_of("p", model, short, NOW_US).cost["input"] == 150_000 * 1_250_000
    assert book.cost_of("p", model, long, NOW_US).cost["input"] == 150_000 * 2_500_000


@pytest.mark.parametrize(
    ("parameters", "picodollars"),
    [
        ("", 2_500_000),
        ('{"temperature":0.5}', 2_500_000),
        ('{"service_tier":"default"}', 2_500_000),
        ('{"service_tier":"priority"}', 4_250_000),
        ('{"serviceTier":"Priority"}', 4_250_000),
        ('{"service_tier":"batch"}', 1_250_000),
        ('{"processing":"batch"}', 1_250_000),
        ("not json", 2_500_000),
        ('["service_tier"]', 2_500_000),
    ],
)
def test_the_service_tier_decides_the_price(
    book: PriceBook, parameters: str, picodollars: int
) -> None:
    assert book.cost_of("p", "gpt-4o", {"input": 1}, NOW_US, parameters).total_pico == picodollars


def test_a_past_event_is_priced_by_the_price_of_its_time(book: PriceBook) -> None:
    march_12, march_13 = 1_773_273_600_000_000, 1_773_360_000_000_000
    usage = {"input": 200_001}
    costs = [book.cost_of("p", "claude-sonnet-4-6", usage, at) for at in (march_12, march_13)]
    assert [cost.total_pico // 200_001 for cost in costs] == [6_000_000, 3_000_000]
    assert costs[0].price_id != costs[1].price_id


@pytest.mark.parametrize(
    ("model", "price_id"),
    [
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("GPT-4o", "openai/gpt-4o"),
        ("azure/gpt-4o", "openai/gpt-4o"),
        ("gpt-35-turbo", "openai/gpt-3.5-turbo"),
        ("gpt-4o-mini-2031-01-01", "openai/gpt-4o-mini"),
        ("models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        (
            "projects/p/locations/eu/publishers/google/models/gemini-2.5-pro",
            "google/gemini-2.5-pro",
        ),
        ("claude-sonnet-4@20250514", "anthropic/claude-sonnet-4-0"),
        ("vertex_ai/claude-sonnet-4@20250514", "google/claude-4-sonnet"),
        (
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0",
        ),
        (
            "bedrock/us-east-1/anthropic.claude-sonnet-4-20250514-v1:0",
            "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0",
        ),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0",
            "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0",
        ),
        ("claude-3-5-sonnet-latest", "anthropic/claude-3-5-sonnet"),
        ("qwen-plus", "alibaba/qwen-plus"),
        ("dashscope/qwen-turbo-2025-04-28", "alibaba/qwen-turbo"),
        ("text-embedding-ada-002", "openai/text-embedding-ada-002"),
        ("embed-multilingual-v3.0", "cohere/embed-v3"),
        ("voyage-3", "voyageai/voyage-3"),
        ("groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
    ],
)
def test_a_model_is_found_under_all_its_common_names(
    book: PriceBook, model: str, price_id: str
) -> None:
    assert book.cost_of("p", model, {"input": 1}, NOW_US).price_id.split("#")[0] == price_id


def test_a_name_that_hosts_sell_at_different_prices_is_not_guessed(book: PriceBook) -> None:
    assert not book.cost_of("p", "llama-3.1-8b-instruct-of-nobody", {"input": 1}, NOW_US).has_price
    assert not book.cost_of(
        "p", "meta-llama/llama-3.3-70b-instruct", {"input": 1}, NOW_US
    ).has_price
    assert book.cost_of(
        "p", "together/meta-llama/Llama-3.3-70B-Instruct-Turbo", {"input": 1}, NOW_US
    ).has_price


def test_more_models_than_the_cache_holds_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_book, "CACHED_MODELS_MAX", 3)
    book = PriceBook()
    for round_ in range(2):
        for model in ("gpt-4o", "a", "b", "c", "gpt-4o-mini"):
            known = book.cost_of("p", model, {"input": 1}, NOW_US).has_price
            assert known == model.startswith("gpt"), round_


@given(
    st.dictionaries(
        st.sampled_from(["input", "output", "cache_read", "output_reasoning", "cache_write_1h"]),
        st.integers(0, 10**9),
    )
)
def test_the_cost_of_the_whole_is_the_sum_of_the_costs_of_its_parts(usage: dict[str, int]) -> None:
    book = _BOOK
    whole = book.cost_of("p", "gpt-4o", usage, NOW_US).total_pico
    parts = (book.cost_of("p", "gpt-4o", {k: n}, NOW_US).total_pico for k, n in usage.items())
    assert whole == sum(parts)


_BOOK = PriceBook()


def test_a_total_sent_by_the_client_is_used_instead_of_its_parts() -> None:
    assert total_of_given({"input": 1, "output": 2}) == 3
    assert total_of_given({"input": 1, "total": 7}) == 7
    assert total_of_given({"total": 0, "input": 4}) == 0
    assert total_of_given({}) == 0
