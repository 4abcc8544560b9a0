"""Read the usage of a span from the attributes of each convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from producers.gateway.mapping.sources import Attribute, Computed, Source, in_scope
from producers.gateway.mapping.token_counts import Counts, CountsByHand, OfModels
from producers.gateway.mapping.types import MODEL_KEYS
from producers.gateway.mapping.values import object_of
from producers.gateway.otlp import AttributeValue, ExportedSpan
from producers.gateway.values.usage import (
    count_of,
    usage_of_json,
    usage_of_object,
)
from tracemill.reconciliation import Dialect, Reconciled, dialects, reconcile


def _usage_details(value: AttributeValue) -> Reconciled | None:
    found = usage_of_json(value) if isinstance(value, str) else usage_of_object(value)
    return found if found.counts else None


def _of_counts(counts: dict[str, int], dialect: Dialect) -> Reconciled | None:
    return reconcile(counts.items(), dialect) if counts else None


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
    ("cache_creation_5m", ("anthropic", "usage", "cache_creation", "ephemeral_5m_input_tokens")),
    ("cache_creation_1h", ("anthropic", "usage", "cache_creation", "ephemeral_1h_input_tokens")),
    ("input_cached_tokens", ("bedrock", "usage", "cacheReadInputTokens")),
    ("input_cache_creation", ("bedrock", "usage", "cacheWriteInputTokens")),
    ("input_cache_creation", ("bedrock", "usage", "cacheCreationInputTokens")),
    ("input_cached_tokens", ("google", "usageMetadata", "cachedContentTokenCount")),
    ("output_reasoning_tokens", ("google", "usageMetadata", "thoughtsTokenCount")),
    ("total_tokens", ("google", "usageMetadata", "totalTokenCount")),
    ("input_cache_creation", ("openai", "usage", "cacheWriteTokens")),
)
"""Paths of more counts in ``ai.response.providerMetadata``, per provider."""
_VERCEL_DETAILS: Final = "ai.usage.inputTokenDetails."
"""Attributes of AI SDK 6 and later, whose sums include their parts with every provider."""
_VERCEL_EXCLUSIVE_PROVIDERS: Final = ("anthropic", "bedrock")


def _vercel(span: ExportedSpan) -> Reconciled | None:
    """Read the usage of model calls, and of operations around them, which repeat it."""
    attributes = span.attributes
    counts: dict[str, int] = {}
    for name, keys in _VERCEL_SUMS.items():
        for key in keys:
            if (count := count_of(attributes.get(key))) is not None:
                counts[name] = count
                break
    provider = object_of(attributes.get("ai.response.providerMetadata")) or {}
    for name, path in _VERCEL_PROVIDERS:
        if (count := count_of(_at(provider, path))) is not None:
            counts.setdefault(name, count)
    if "total_tokens" in counts and not counts.keys() & {"prompt_tokens", "completion_tokens"}:
        counts["prompt_tokens"] = counts["total_tokens"]  # embeddings have one count
    return _of_counts(counts, _vercel_dialect(attributes, provider, counts))


def _vercel_dialect(
    attributes: Mapping[str, AttributeValue], provider: Mapping[str, Any], counts: dict[str, int]
) -> Dialect:
    """Return what the sums of the SDK's version include: up to 5 the provider's, later all parts.

    The usage that Anthropic itself reports is in the metadata; it shows what the SDK did.
    """
    if any(key.startswith(_VERCEL_DETAILS) for key in attributes):
        return dialects.VERCEL_SUMS
    own_input = count_of(_at(provider, ("anthropic", "usage", "input_tokens")))
    if own_input is not None and "prompt_tokens" in counts:
        is_own = own_input == counts["prompt_tokens"]
        return dialects.VERCEL_EXCLUSIVE if is_own else dialects.VERCEL_SUMS
    exclusive = any(name in provider for name in _VERCEL_EXCLUSIVE_PROVIDERS)
    return dialects.VERCEL_EXCLUSIVE if exclusive else dialects.VERCEL_SUMS


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def vercel_service_tier(span: ExportedSpan) -> str | None:
    """Return the tier that served a call of the AI SDK, as the provider reports it."""
    provider = object_of(span.attributes.get("ai.response.providerMetadata")) or {}
    tiers = (_at(provider, path) for path in _VERCEL_TIERS)
    return next((tier for tier in tiers if isinstance(tier, str) and tier), None)


_VERCEL_TIERS: Final[tuple[tuple[str, ...], ...]] = (
    ("openai", "serviceTier"),
    ("anthropic", "usage", "service_tier"),
    ("google", "serviceTier"),
)


def _mlflow(span: ExportedSpan) -> Reconciled | None:
    """Read MLflow's usage, which has Anthropic's cache beside the input or in it.

    Its integrations differ, and their totals add the two sums, so that only more cached tokens than
    input show where they are.
    """
    usage = object_of(span.attributes[_MLFLOW])
    found = _usage_details(usage) if usage else None
    if found is None or found.uncertain or not any("cache" in name for name in found.counts):
        return found
    is_claude = any("claude" in str(span.attributes.get(key)) for key in _MODELS_OF_MLFLOW)
    is_inside = found.counts.get("total") == count_of((usage or {}).get("total_tokens"))
    if not (is_claude and is_inside and found.counts.get("input")):
        return found
    return replace(found, uncertain="cached tokens may be beside the input")


_MLFLOW: Final = "mlflow.chat.tokenUsage"
_MODELS_OF_MLFLOW: Final = (*MODEL_KEYS, "mlflow.llm.model")


def _genkit(span: ExportedSpan) -> Reconciled | None:
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
    found = {name: count_of(usage.get(theirs)) for name, theirs in names.items()}
    return _of_counts({name: n for name, n in found.items() if n}, dialects.GEMINI)


def _adk(span: ExportedSpan) -> Reconciled | None:
    """Read Google's ADK, whose attributes leave out cached tokens, and in some versions thoughts.

    Where the model's response has the sums, too, it is read alone.
    """
    response = object_of(span.attributes.get("gcp.vertex.agent.llm_response"))
    usage = _at(response, ("usage_metadata",))
    if isinstance(usage, dict) and usage.keys() >= _GEMINI_SUMS:
        return usage_of_object(usage)
    counts: dict[str, int] = {}
    for key, value in span.attributes.items():
        if key.startswith("gen_ai.usage.") and (count := count_of(value)) is not None:
            counts[key.removeprefix("gen_ai.usage.")] = count
    cached = count_of(_at(usage, ("cached_content_token_count",)))
    if cached:
        counts.setdefault("input_cached_tokens", cached)
    # Versions with this name report the candidates as the output, without the thoughts.
    is_beside = "experimental.reasoning_tokens" in counts
    return _of_counts(counts, dialects.GEN_AI_OF_GEMINI if is_beside else dialects.GEN_AI)


_GEMINI_SUMS: Final = frozenset({"prompt_token_count", "candidates_token_count"})


_WHOLE: Final = (
    *("gen_ai.usage.raw", "langsmith.usage_metadata", "langsmith.metadata.usage_metadata"),
)
"""Objects that say more than the counts beside them: Logfire's and LangSmith's."""
_OBJECTS: Final = (
    *("gen_ai.usage", "llm.usage", "usage", "usage_metadata", "token_usage", "llm.token.counts"),
)
"""Objects that applications, and Langtrace, write themselves."""

USAGE: Final[tuple[Source, ...]] = (
    Attribute("langfuse.observation.usage_details", _usage_details),
    in_scope("genkit-tracer", Computed(("genkit:output",), _genkit)),
    in_scope("ai", Computed((), _vercel)),
    in_scope("gcp.vertex.agent", Computed(("gcp.vertex.agent.llm_response",), _adk)),
    *(Attribute(key, _usage_details) for key in _WHOLE),
    Counts(
        ("gen_ai.usage.", "llm.token_count.", "llm.usage.", "anthropic.usage."),
        frozenset({"cost"}),
    ),
    Computed((_MLFLOW,), _mlflow),
    CountsByHand(),
    *(OfModels(Attribute(key, _usage_details)) for key in _OBJECTS),
)
