"""Normalize names of providers of models."""

from __future__ import annotations

import re
from typing import Final

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
    "x-ai": "xai x_ai grok",
    "perplexity": "perplexity-ai",
    "moonshotai": "moonshot moonshot-ai",
    "zai": "z-ai z.ai",
    "zhipuai": "zhipu bigmodel",
    "alibaba": "dashscope qwen alibaba-cloud aliyun",
    "voyageai": "voyage voyage-ai",
    "github-copilot": "copilot github_copilot",
    "cloudflare": "workers-ai cloudflare-workers-ai",
}
PROVIDER_OF: Final = {
    **{name: provider for provider, names in _PROVIDERS.items() for name in names.split()},
    **{provider: provider for provider in _PROVIDERS},
}
"""The price list's name of a provider by its other names."""

_API: Final = re.compile(r"\.(?:chat|messages|responses|completions?|embedding|generative-ai)$")


def provider_of(name: str) -> str:
    """Return the price list's name of a provider, given a prefix or a ``gen_ai.system`` value."""
    return PROVIDER_OF.get(name, name)


def normal_provider(name: str) -> str:
    """Return the normal form of a reported provider.

    The Vercel AI SDK appends the name of an API: ``openai.chat``.
    """
    found = PROVIDER_OF.get(name)
    if found is not None:
        return found
    name = _API.sub("", name.strip().lower())
    found = PROVIDER_OF.get(name)
    return PROVIDER_OF.get(name.partition(".")[0], name) if found is None else found
