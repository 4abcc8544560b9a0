"""Documented meaning of the counts of each source of usage."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Dialect(NamedTuple):
    """Which sums include which parts, where arithmetic does not decide it.

    ``total_proves`` is false where the total is computed by the instrumentation from two sums, so
    that it does not show what they include. ``names`` says how parts are called in the result:
    by canonical names, by their key in an object of details (``input_cache_read``), or by the
    client's own names. ``source`` says where the meaning is documented.
    """

    name: str
    source: str
    cache_read_inside: bool = True
    cache_write_inside: bool = True
    tool_inside: bool = True
    reasoning_inside: bool = True
    modality_inside: bool = True
    other_inside: bool = True
    total_proves: bool = True
    names: Literal["canonical", "of details", "own"] = "canonical"


OPENAI: Final = Dialect(
    "openai",
    "OpenAI API reference, objects CompletionUsage and ResponseUsage: details break the sums down",
    names="of details",
)
ANTHROPIC: Final = Dialect(
    "anthropic",
    "Anthropic, Prompt caching: input_tokens are those after the last cache breakpoint",
    cache_read_inside=False,
    cache_write_inside=False,
    names="own",
)
GEMINI: Final = Dialect(
    "gemini",
    "Gemini API, UsageMetadata: promptTokenCount includes cached content; candidates do not "
    "include thoughts; tool use prompts are counted apart",
    tool_inside=False,
    reasoning_inside=False,
)
BEDROCK: Final = Dialect(
    "bedrock",
    "Amazon Bedrock, TokenUsage: cache reads and writes are not in inputTokens",
    cache_read_inside=False,
    cache_write_inside=False,
    names="own",
)
LANGFUSE: Final = Dialect(
    "langfuse",
    "Langfuse, Token and cost tracking: usage types are disjoint",
    cache_read_inside=False,
    cache_write_inside=False,
    tool_inside=False,
    reasoning_inside=False,
    modality_inside=False,
    other_inside=False,
    names="own",
)
GEN_AI: Final = Dialect(
    "gen_ai",
    "OpenTelemetry, GenAI attributes: gen_ai.usage.input_tokens includes cached tokens",
)
VERCEL_SUMS: Final = GEN_AI._replace(
    name="vercel",
    source="AI SDK 5, LanguageModelUsage: meaning of the provider; the total adds two sums",
    total_proves=False,
)
VERCEL_EXCLUSIVE: Final = VERCEL_SUMS._replace(
    name="vercel-exclusive",
    source="AI SDK 5, providers anthropic and amazon-bedrock: inputTokens exclude cached tokens",
    cache_read_inside=False,
    cache_write_inside=False,
)
