"""Usage as providers and instrumentations report it costs what the provider's invoice says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from producers.gateway.values.usage import usage_of_object
from tests.billing.observed import BOOK, NOW_US, cost_of, observed, usd
from tracemill.contract import Observation

OBJECTS: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "Realtime: the cache holds text and audio",
        "gpt-realtime",
        {
            "input_token_details": {
                "text_tokens": 200,
                "audio_tokens": 1000,
                "cached_tokens": 900,
                "cached_tokens_details": {"audio_tokens": 900},
            },
            "output_token_details": {"text_tokens": 20, "audio_tokens": 80},
        },
        "0.0098",
    ),
    (
        "Gemini: text and audio, each partly cached",
        "gemini-2.5-flash",
        {
            "promptTokenCount": 1500,
            "candidatesTokenCount": 100,
            "totalTokenCount": 1600,
            "cachedContentTokenCount": 800,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 1000},
                {"modality": "AUDIO", "tokenCount": 500},
            ],
            "cacheTokensDetails": [
                {"modality": "TEXT", "tokenCount": 500},
                {"modality": "AUDIO", "tokenCount": 300},
            ],
        },
        "0.000645",
    ),
    (
        "Gemini: thoughts within the candidates",
        "gemini-2.5-flash",
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 120,
            "thoughtsTokenCount": 100,
            "totalTokenCount": 130,
        },
        "0.000303",
    ),
    (
        "Gemini: thoughts beside the candidates",
        "gemini-2.5-flash",
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 120,
            "thoughtsTokenCount": 100,
            "totalTokenCount": 230,
        },
        "0.000553",
    ),
    (
        "LiteLLM's callback: writes within the input, reads beside it",
        "claude-sonnet-4-5",
        {
            "input": 2200,
            "output": 100,
            "total": 10300,
            "cache_creation_input_tokens": 2000,
            "cache_read_input_tokens": 8000,
        },
        "0.012",
    ),
    (
        "LangChain: counts named by a priority tier",
        "gpt-5-mini",
        {
            "input": 1300,
            "output": 100,
            "total": 1400,
            "input_priority_cache_read": 300,
            "input_priority": 1000,
            "output_priority": 100,
        },
        "0.0008235",
    ),
    (
        "LangChain: counts named by a flex tier",
        "gpt-5-mini",
        {
            "input": 1300,
            "output": 100,
            "total": 1400,
            "input_flex_cache_read": 300,
            "input_flex": 1000,
            "output_flex": 100,
        },
        "0.00022875",
    ),
    (
        "LangChain: usage_metadata with a tier as it is",
        "gpt-5-mini",
        {
            "input_tokens": 1300,
            "output_tokens": 100,
            "total_tokens": 1400,
            "input_token_details": {"priority_cache_read": 300, "priority": 1000},
            "output_token_details": {"priority": 100},
        },
        "0.0008235",
    ),
    (
        "Anthropic: a batch",
        "claude-sonnet-4-5",
        {"input_tokens": 1000, "output_tokens": 100, "service_tier": "batch"},
        "0.00225",
    ),
]
SPANS: list[tuple[str, str, str, dict[str, Any], str]] = [
    (
        "Bedrock Converse: cached tokens beside the input",
        "claude-sonnet-4-5",
        "",
        {
            "gen_ai.usage.input_tokens": 5000,
            "gen_ai.usage.cache_read_input_tokens": 1000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.total_tokens": 6100,
        },
        "0.0168",
    ),
    (
        "Bedrock Converse: cached tokens within the input",
        "claude-sonnet-4-5",
        "",
        {
            "gen_ai.usage.input_tokens": 6000,
            "gen_ai.usage.cache_read_input_tokens": 1000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.total_tokens": 6100,
        },
        "0.0168",
    ),
    (
        "more cached tokens than input",
        "claude-sonnet-4-5",
        "",
        {
            "gen_ai.usage.input_tokens": 500,
            "gen_ai.usage.cache_read_input_tokens": 1000,
            "gen_ai.usage.cache_write_input_tokens": 100,
            "gen_ai.usage.output_tokens": 100,
        },
        "0.003675",
    ),
    (
        "AI SDK 5 with Anthropic",
        "claude-3-5-haiku",
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.usage.inputTokens": 3000,
            "ai.usage.cachedInputTokens": 2000,
            "ai.usage.outputTokens": 104,
            "ai.usage.totalTokens": 3104,
            "ai.response.providerMetadata": '{"anthropic":{"usage":{"input_tokens":3000}}}',
        },
        "0.002976",
    ),
    (
        "AI SDK 5 with OpenAI",
        "gpt-4o-mini",
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.usage.inputTokens": 3000,
            "ai.usage.cachedInputTokens": 2000,
            "ai.usage.outputTokens": 100,
            "ai.response.providerMetadata": '{"openai":{"responseId":"r"}}',
        },
        "0.00036",
    ),
    (
        "pydantic-ai: audio in the details",
        "gpt-4o-audio-preview",
        "",
        {
            "gen_ai.usage.input_tokens": 500,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.usage.details.input_audio_tokens": 400,
            "gen_ai.usage.details.output_audio_tokens": 80,
        },
        "0.02285",
    ),
    (
        "OpenAI: the flex tier that served the call",
        "gpt-5-mini",
        "",
        {
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.request.service_tier": "auto",
            "openai.response.service_tier": "flex",
        },
        "0.000225",
    ),
    (
        "by hand: llm.model with counts",
        "gpt-4o-mini",
        "",
        {"llm.model": "gpt-4o-mini", "llm.input_tokens": 1200, "llm.output_tokens": 80},
        "0.000228",
    ),
    (
        "by hand: model with counts below usage",
        "gpt-4o-mini",
        "",
        {"model": "gpt-4o-mini", "usage.prompt_tokens": "1200", "usage.completion_tokens": 80},
        "0.000228",
    ),
    (
        "OpenAI: flex was requested, and the default tier served",
        "gpt-5-mini",
        "",
        {
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 100,
            "gen_ai.request.service_tier": "flex",
            "gen_ai.openai.response.service_tier": "default",
        },
        "0.00045",
    ),
]


@pytest.mark.parametrize(
    ("model", "usage", "expected"), [row[1:] for row in OBJECTS], ids=[row[0] for row in OBJECTS]
)
def test_usage_objects_cost_what_the_provider_bills(
    model: str, usage: dict[str, Any], expected: str
) -> None:
    found = usage_of_object(usage)
    observation = Observation(
        project_id="p",
        trace_id="t",
        id="o",
        ts_us=NOW_US,
        usage=found.counts,
        service_tier=found.service_tier,
    )
    assert not found.uncertain
    assert usd(cost_of(model, observation)) == Decimal(expected)


@pytest.mark.parametrize(
    ("model", "scope", "attributes", "expected"),
    [row[1:] for row in SPANS],
    ids=[row[0] for row in SPANS],
)
def test_spans_cost_what_the_provider_bills(
    model: str, scope: str, attributes: dict[str, Any], expected: str
) -> None:
    observation = observed(attributes, scope)
    assert not observation.usage_uncertain
    assert usd(cost_of(model, observation)) == Decimal(expected)


def test_usage_that_does_not_add_up_is_marked() -> None:
    observation = observed(
        {
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.total_tokens": 20,
        }
    )
    assert observation.usage == {"input": 10, "output": 5, "total": 15}
    assert observation.usage_uncertain == "total is 20, but the counts add up to 15"


def test_a_span_that_names_a_model_by_hand_is_a_generation() -> None:
    observation = observed(
        {"llm.model": "gpt-4o-mini", "llm.input_tokens": 1200, "llm.output_tokens": 80}
    )
    assert (observation.type, observation.model) == ("GENERATION", "gpt-4o-mini")


def test_texts_named_input_and_output_are_not_counts() -> None:
    observation = observed({"model": "gpt-4o-mini", "input": "5", "output": "7"})
    assert observation.usage is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"operation.cost": 0.5}, {"total": 5 * 10**11}),
        ({"llm.usage.cost": "0.5"}, {"total": 5 * 10**11}),
        ({"llm.cost.prompt": 0.2, "llm.cost.completion": 0.3},
         {"input": 2 * 10**11, "output": 3 * 10**11}),
        ({"llm.cost.prompt": 0.2, "llm.cost.total": 0.4},
         {"input": 2 * 10**11, "total": 4 * 10**11}),
    ],
)  # fmt: skip
def test_a_stated_cost_counts_whatever_its_spelling(
    attributes: dict[str, Any], expected: dict[str, int]
) -> None:
    assert observed(attributes).cost == expected


@pytest.mark.parametrize("after_ms", [-5, 0, 1, 7_000_000])
def test_a_first_token_is_kept_as_it_was_sent_also_outside_the_span(after_ms: int) -> None:
    moment = datetime.fromtimestamp(NOW_US / 10**6 + after_ms / 1000, UTC)
    observation = observed({"langfuse.observation.completion_start_time": moment.isoformat()})
    assert observation.completion_start_us == NOW_US + after_ms * 1000


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("openai:gpt-4o", "openai/gpt-4o"),
        ("google-gla:gemini-2.5-flash", "google/gemini-2.5-flash"),
        (
            "bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("ft:gpt-4.1-2025-04-14:acme::x1", "openai/ft:gpt-4.1"),
        ("ft:gpt-4.1-mini-2025-04-14:acme::x1", "openai/ft:gpt-4.1-mini"),
        ("ollama:mistral:7b", ""),
    ],
)
def test_a_name_with_its_provider_is_priced_at_that_provider(model: str, price: str) -> None:
    assert BOOK.cost_of("p", model, {"input": 1}, NOW_US).price_id == price
