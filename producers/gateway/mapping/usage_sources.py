"""Read usage and cost of a span from the attributes of each convention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from producers.gateway.mapping.sources import (
    Attribute,
    Computed,
    Reader,
    Shape,
    Source,
    below,
    in_scope,
)
from producers.gateway.mapping.token_counts import TokenCounts, token_counts
from producers.gateway.mapping.types import VERCEL_CALLS
from producers.gateway.mapping.values import amounts_of, attribute_text, object_of
from producers.gateway.otlp import AttributeValue, ExportedSpan
from producers.gateway.values.money import pico_of_usd
from producers.gateway.values.usage import (
    count_of,
    normalise_cost_details,
    normalise_usage_details,
    usage_details_of_json,
)


def _usage_details(value: AttributeValue) -> dict[str, int] | None:
    if isinstance(value, str):
        return usage_details_of_json(value) or None
    return normalise_usage_details(value) or None


@dataclass(frozen=True, slots=True)
class Counts:
    """Read all counts below prefixes."""

    prefixes: tuple[str, ...]
    excluded: frozenset[str]

    def bind(self, shape: Shape) -> Reader | None:
        pairs = below(self.prefixes, shape, self.excluded)
        if not pairs:
            return None
        counts = TokenCounts(pairs)
        return Reader("", lambda span: counts.read(span.attributes) or None)


_VERCEL_SUMS: Final[dict[str, tuple[str, ...]]] = {
    "prompt_tokens": (
        "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.input_tokens",
        "ai.usage.promptTokens",
        "ai.usage.inputTokens",
    ),
    "completion_tokens": (
        "gen_ai.usage.completion_tokens",
        "gen_ai.usage.output_tokens",
        "ai.usage.completionTokens",
        "ai.usage.outputTokens",
    ),
    "total_tokens": ("ai.usage.tokens", "ai.usage.totalTokens"),
    "input_cached_tokens": (
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
    ),
    "input_cache_creation": ("ai.usage.inputTokenDetails.cacheWriteTokens",),
    "output_reasoning_tokens": (
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
    ),
}
_VERCEL_PROVIDERS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("input_cached_tokens", ("openai", "cachedPromptTokens")),
    ("output_reasoning_tokens", ("openai", "reasoningTokens")),
    ("input_cached_tokens", ("anthropic", "usage", "cache_read_input_tokens")),
    ("input_cached_tokens", ("anthropic", "cacheReadInputTokens")),
    ("input_cache_creation", ("anthropic", "usage", "cache_creation_input_tokens")),
    ("input_cache_creation", ("anthropic", "cacheCreationInputTokens")),
    ("cache_5m", ("anthropic", "usage", "cache_creation", "ephemeral_5m_input_tokens")),
    ("cache_1h", ("anthropic", "usage", "cache_creation", "ephemeral_1h_input_tokens")),
    ("input_cached_tokens", ("bedrock", "usage", "cacheReadInputTokens")),
    ("input_cache_creation", ("bedrock", "usage", "cacheWriteInputTokens")),
    ("input_cache_creation", ("bedrock", "usage", "cacheCreationInputTokens")),
    ("input_cached_tokens", ("google", "usageMetadata", "cachedContentTokenCount")),
    ("output_reasoning_tokens", ("google", "usageMetadata", "thoughtsTokenCount")),
)
"""Paths of more counts in ``ai.response.providerMetadata``, per provider."""


def _vercel(span: ExportedSpan) -> dict[str, int] | None:
    """Read usage of model calls only: the enclosing operation (``ai.generateText``) repeats it."""
    attributes = span.attributes
    operation = attribute_text(attributes.get("ai.operationId"))
    if operation is not None and operation not in VERCEL_CALLS:
        return None
    raw: dict[str, int] = {}
    for name, keys in _VERCEL_SUMS.items():
        for key in keys:
            if (count := count_of(attributes.get(key))) is not None:
                raw[name] = count
                break
    provider = object_of(attributes.get("ai.response.providerMetadata")) or {}
    for name, path in _VERCEL_PROVIDERS:
        if (count := count_of(_at(provider, path))) is not None:
            raw.setdefault(name, count)
    if "total_tokens" in raw and not raw.keys() & {"prompt_tokens", "completion_tokens"}:
        raw["prompt_tokens"] = raw["total_tokens"]  # embeddings have one count
    by_lifetime = {
        f"input_cache_creation_{ttl}": raw.pop(f"cache_{ttl}", 0) for ttl in ("5m", "1h")
    }
    found = token_counts(raw)
    for bucket, count in by_lifetime.items():
        if count:
            found[bucket] = count
            found["input_cache_creation"] = max(found.get("input_cache_creation", 0) - count, 0)
    return found or None


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _genkit(span: ExportedSpan) -> dict[str, int] | None:
    usage = _at(object_of(span.attributes.get("genkit:output")), ("usage",))
    if not isinstance(usage, dict):
        return None
    names = {
        "prompt_tokens": "inputTokens",
        "completion_tokens": "outputTokens",
        "total_tokens": "totalTokens",
        "input_cached_tokens": "cachedContentTokens",
        "output_reasoning_tokens": "thoughtsTokens",
    }
    raw = {name: count_of(usage.get(theirs)) for name, theirs in names.items()}
    return token_counts({name: n for name, n in raw.items() if n}) or None


def _adk(span: ExportedSpan) -> dict[str, int] | None:
    """Read Google's ADK, which reports cached tokens in the model's response only."""
    raw: dict[str, int] = {}
    for key, value in span.attributes.items():
        if key.startswith("gen_ai.usage.") and (count := count_of(value)) is not None:
            raw[key.removeprefix("gen_ai.usage.")] = count
    response = object_of(span.attributes.get("gcp.vertex.agent.llm_response"))
    cached = count_of(_at(response, ("usage_metadata", "cached_content_token_count")))
    if cached:
        raw.setdefault("input_cached_tokens", cached)
    return token_counts(raw) or None


def _cost_details(value: AttributeValue) -> dict[str, int] | None:
    return normalise_cost_details(amounts_of(value)) or None


def _total_cost(value: AttributeValue) -> dict[str, int] | None:
    pico = pico_of_usd(value)
    return None if pico is None else {"total": pico}


USAGE: Final[tuple[Source, ...]] = (
    Attribute("langfuse.observation.usage_details", _usage_details),
    in_scope("genkit-tracer", Computed(("genkit:output",), _genkit)),
    in_scope("ai", Computed((), _vercel)),
    in_scope("gcp.vertex.agent", Computed(("gcp.vertex.agent.llm_response",), _adk)),
    Counts(("gen_ai.usage.", "llm.token_count.", "llm.usage."), frozenset({"cost"})),
    Attribute("mlflow.chat.tokenUsage", _usage_details),
)
COST: Final[tuple[Source, ...]] = (
    Attribute("langfuse.observation.cost_details", _cost_details),
    Attribute("gen_ai.usage.cost", _total_cost),
    Attribute("llm.cost.total", _total_cost),
)
