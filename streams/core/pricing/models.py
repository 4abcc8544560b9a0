"""Normalizes model ids: lists the names under which a price list may have the model.

The candidates are tried from the most specific to the least. Examples of ids: ``openai/gpt-4o``,
``models/gemini-2.5-pro``, ``us.anthropic.claude-sonnet-4-20250514-v1:0``,
``claude-sonnet-4@20250514``, ``azure/gpt-35-turbo``, ``qwen/qwen3-32b:nitro``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from producers.model_patterns import NAME_CHARS_MAX

MODEL_LENGTH_MAX: Final = NAME_CHARS_MAX
"""Longer ids match no price."""

PREFIXES_MAX: Final = 8
"""Most prefixes of an id that are removed, as in ``litellm/openrouter/openai/gpt-4o``."""


class NameCandidate(NamedTuple):
    """A possible provider and name of a model; the provider is None if the id has none."""

    provider: str | None
    name: str


_PROVIDERS: Final = {
    "aws": "bedrock amazon amazon-bedrock aws_bedrock aws.bedrock bedrock_converse sagemaker",
    "azure": "azure_ai azure-openai azure_openai azureopenai azure.ai.openai az.ai.openai "
    "az.ai.inference",
    "google": "gemini vertex vertex_ai vertexai vertex-ai google_genai google-vertex gcp "
    "google-generative-ai gcp.gemini gcp.vertex_ai gcp.gen_ai google_vertexai google-gla "
    "google-vertex-ai vertex_ai_beta",
    "openai": "openai-chat openai-responses text-completion-openai azure_text",
    "anthropic": "claude",
    "mistral": "mistralai mistral_ai mistral-ai",
    "cohere": "cohere_chat cohereai",
    "together": "together_ai together-ai togetherai togethercomputer",
    "fireworks": "fireworks_ai fireworks-ai",
    "x-ai": "xai x_ai",
    "perplexity": "perplexity-ai",
    "moonshotai": "moonshot moonshot-ai",
    "zai": "z-ai z.ai",
    "zhipuai": "zhipu bigmodel",
    "alibaba": "dashscope qwen alibaba-cloud aliyun",
    "voyageai": "voyage voyage-ai",
    "github-copilot": "copilot github_copilot",
    "cloudflare": "workers-ai cloudflare-workers-ai",
}
_PROVIDER_OF: Final = {
    **{name: provider for provider, names in _PROVIDERS.items() for name in names.split()},
    **{provider: provider for provider in _PROVIDERS},
}

_LOCAL: Final = {
    *("ollama", "ollama_chat", "lm_studio", "lmstudio", "vllm", "hosted_vllm"),
    *("llamafile", "llamacpp", "local", "localai", "xinference", "tgi"),
}
"""Runtimes on the user's own machines, whose models have no list price."""

_COLON_PREFIXES: Final = {
    *_PROVIDER_OF,
    *_LOCAL,
    *("groq", "deepseek", "openrouter", "cerebras", "huggingface", "novita", "minimax", "meta"),
}
"""Providers that may precede a name with a colon: ``openai:gpt-4o``."""

_WRAPPERS: Final = re.compile(
    r"^(?:litellm(?:_proxy)?/|models/|tunedmodels/|projects/[^/]+/(?:locations/[^/]+/)?|"
    r"publishers/[^/]+/models/|arn:aws[\w-]*:bedrock:[^/]*/)+"
)
_BEDROCK: Final = re.compile(
    r"^(?:(?:us|us-gov|eu|ap|apac|au|ca|jp|sa|global)\.)?"
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|qwen|openai|writer|stability|google|"
    r"moonshotai|minimax|nvidia|zai)\."
)
_BEDROCK_REGION: Final = re.compile(r"^(?:us|us-gov|eu|ap|apac|au|ca|jp|sa|global)\.")
_BEDROCK_VERSION: Final = re.compile(r"-v\d+(?::\d+(?::\d+k)?)?$")
_VARIANT: Final = re.compile(
    r":(?:nitro|floor|online|extended|beta|exacto|thinking|latest|default)$"
)
_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
_DATE: Final = re.compile(
    r"[-@](?:20\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|latest|default)$"
)


def provider_of(name: str) -> str:
    """Return the price list's name of a provider, from a prefix or a ``gen_ai.system`` value."""
    return _PROVIDER_OF.get(name, name)


def name_candidates(model: str) -> Iterator[NameCandidate]:
    """Yield the candidates for ``model``, the most specific first, each once.

    Candidates at the provider that the id names come before those without a provider, and full
    names before names without a date.
    """
    name = model.strip().lower()
    if not name or len(name) > MODEL_LENGTH_MAX:
        return
    seen: set[NameCandidate] = set()
    for candidate in _all_candidates(name):
        if candidate.name and candidate not in seen:
            seen.add(candidate)
            yield candidate


def _all_candidates(name: str, prefixes_max: int = PREFIXES_MAX) -> Iterator[NameCandidate]:
    name = _WRAPPERS.sub("", name) or name
    yield from _after_colon(name, prefixes_max)
    provider, slash, rest = name.partition("/")
    if slash:
        if provider_of(provider) == "aws":
            rest = rest.rpartition("/")[2]  # without a region or the name of an API
        for spelling in _spellings(rest):
            yield NameCandidate(provider_of(provider), spelling)
        if provider in _LOCAL:
            return
        for spelling in _spellings(name):
            yield NameCandidate(None, spelling)
        # A second prefix may follow, as in "openrouter/openai/gpt-4o".
        if prefixes_max:
            yield from _all_candidates(rest, prefixes_max - 1)
        return
    if _BEDROCK.match(name):
        for spelling in _spellings(name):
            yield NameCandidate("aws", spelling)
        name = _BEDROCK_VERSION.sub("", _BEDROCK.sub("", name))
    for spelling in _spellings(name):
        yield NameCandidate(None, spelling)


def _after_colon(name: str, prefixes_max: int) -> Iterator[NameCandidate]:
    """Yield the candidates of ``openai:gpt-4o``.

    Ollama names versions with a colon, too (``mistral:7b``), so the whole name is one as well.
    """
    prefix, colon, named = name.partition(":")
    if colon and named and prefix in _COLON_PREFIXES:
        yield from _all_candidates(f"{prefix}/{named}", prefixes_max)


def _spellings(name: str) -> Iterator[str]:
    """Yield ``name``, then variants without region, date and routing suffixes."""
    yield name
    yield _BEDROCK_REGION.sub("", name)
    yield _COMPACT_DATE.sub(r"-\1-\2-\3", name)
    yield name.replace("@", "-")
    bare = _VARIANT.sub("", name)
    yield bare
    bare = _DATE.sub("", bare)
    yield bare
    yield bare.replace("gpt-35", "gpt-3.5")
