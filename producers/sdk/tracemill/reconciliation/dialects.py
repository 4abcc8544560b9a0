"""Documented meaning of the counts of each source of usage."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Dialect(NamedTuple):
    """Which sums include which parts, where arithmetic does not decide it.

    ``total_proves`` is false where the instrumentation may compute the total from the two sums, so
    that a total that equals them does not show what they include. ``rest_is_output`` is true where
    reasoning may be missing from the output, and only in the total. ``names`` says how parts are
    called in the result: by canonical names, by their key in an object of details
    (``input_cache_read``), or by the client's own names. ``source`` says where the meaning is
    documented.
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
    rest_is_output: bool = False
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
    rest_is_output=True,
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
GEN_AI_CACHE_BESIDE: Final = GEN_AI._replace(
    name="gen_ai, cache beside",
    source="OpenLLMetry for Bedrock up to 0.62, OpenInference for Anthropic in JavaScript up to "
    "0.1, OpenLIT for Anthropic and Bedrock, Claude Code: input tokens as the provider reports "
    "them; the total adds two sums",
    cache_read_inside=False,
    cache_write_inside=False,
    total_proves=False,
)
GEN_AI_OF_GEMINI: Final = GEN_AI._replace(
    name="gen_ai of gemini",
    source="OpenLIT and OpenLLMetry for Gemini: output tokens are the candidates, without thoughts",
    tool_inside=False,
    reasoning_inside=False,
    rest_is_output=True,
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
