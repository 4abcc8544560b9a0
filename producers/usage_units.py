"""Define priced units, and map usage types of SDKs and providers to them.

A unit has a price in a price list, such as input tokens or seconds of audio. ``unit_of`` maps the
many spellings of usage types (``cached_tokens``, ``cache_read_input_tokens``,
``cachedContentTokenCount``) to units. A unit without a price has the price of a more general unit,
in the order of ``fallbacks``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MODALITIES: Final = ("audio", "image", "video")


def _token_chains() -> Iterator[tuple[str, ...]]:
    """Yield chains of token units, from the most specific to the most general."""
    yield ("input",)
    yield ("output",)
    yield ("cache_read", "input")
    yield ("cache_write", "input")
    for ttl in ("5m", "1h"):
        yield (f"cache_write_{ttl}", "cache_write", "input")
    yield ("input_tool", "input")
    for kind in ("reasoning", "citation"):
        yield (f"output_{kind}", "output")
    yield ("input_text", "input")
    yield ("output_text", "output")
    yield ("cache_text_read", "cache_read", "input_text", "input")
    write = ("cache_text_write", "cache_write", "input_text", "input")
    yield write
    for ttl in ("5m", "1h"):
        yield (f"cache_text_write_{ttl}", write[0], f"cache_write_{ttl}", *write[1:])
    yield ("input_text_tool", "input_tool", "input_text", "input")
    for kind in ("reasoning", "citation"):
        yield (f"output_text_{kind}", f"output_{kind}", "output_text", "output")
    for modality in _MODALITIES:
        # The price of text is no fallback: audio may cost twenty times as much.
        yield (f"input_{modality}",)
        yield (f"output_{modality}",)
        yield (f"cache_{modality}_read",)
        yield (f"cache_{modality}_write",)
        for ttl in ("5m", "1h"):
            yield (f"cache_{modality}_write_{ttl}", f"cache_{modality}_write")
        yield (f"input_{modality}_tool", f"input_{modality}")
        for kind in ("reasoning", "citation"):
            yield (f"output_{modality}_{kind}", f"output_{modality}")


def _other_chains() -> Iterator[tuple[str, ...]]:
    """Yield chains of other units; only audio has a fallback."""
    yield ("audio_seconds",)
    yield ("input_audio_seconds", "audio_seconds")
    yield ("output_audio_seconds", "audio_seconds")
    yield ("input_document_pages",)
    yield ("input_annotated_document_pages", "input_document_pages")
    for unit in (
        "input_characters",
        "input_text_messages",
        "input_pixels",
        "rerank_searches",
        "web_searches",
        "social_searches",
        "storage_searches",
        "code_executions",
        "requests",
        "total",
    ):
        yield (unit,)


_CHAINS: Final = {chain[0]: chain for chain in (*_token_chains(), *_other_chains())}
TOKEN_UNITS: Final = frozenset(chain[0] for chain in _token_chains())
INPUT_TOKEN_UNITS: Final = frozenset(
    unit for unit in TOKEN_UNITS if unit.startswith(("input", "cache"))
)

_NAMES: Final[dict[str, str]] = {
    "input": (
        "prompt tokens_in prompt_token_count input_token_count inputs input_modality_1 "
        "input_uncached uncached_input"
    ),
    "output": (
        "completion tokens_out candidates_token_count output_token_count outputs "
        "output_modality_1 response_token_count completion_token_count generated "
        "accepted_prediction rejected_prediction output_accepted_prediction "
        "output_rejected_prediction completion_accepted_prediction completion_rejected_prediction"
    ),
    "cache_read": (
        "cached cache_hit input_cached input_cache_read cache_read_input cached_input "
        "cached_content_token_count input_cached_content_token_count cache_read_input_token_count "
        "prompt_cache_hit prompt_cached prompt_cache_read prompt_details_cache_read "
        "input_details_cached input_details_cache_read prompt_details_cached "
        "details_cache_read details_cache_read_input input_cached_text"
    ),
    "cache_write": (
        "cache_creation input_cache_creation input_cache_write cache_creation_input "
        "cache_write_input cache_write_input_token_count prompt_cache_write prompt_cache_creation "
        "prompt_details_cache_write prompt_details_cache_creation input_details_cache_creation "
        "input_details_cache_write details_cache_write details_cache_creation_input"
    ),
    "cache_write_5m": (
        "input_cache_creation_5m cache_creation_5m input_cache_write_5m ephemeral_5m_input "
        "cache_creation_ephemeral_5m_input input_ephemeral_5m_input input_ephemeral_5m "
        "cache_creation_input_5m cache_creation_5m_input"
    ),
    "cache_write_1h": (
        "input_cache_creation_1h cache_creation_1h input_cache_write_1h ephemeral_1h_input "
        "cache_creation_ephemeral_1h_input input_ephemeral_1h_input input_ephemeral_1h "
        "cache_creation_input_1h cache_creation_1h_input"
    ),
    "output_reasoning": (
        "reasoning thinking thoughts thoughts_token_count output_thoughts_token_count "
        "output_thinking completion_reasoning reasoning_output completion_details_reasoning "
        "output_details_reasoning details_reasoning output_thoughts"
    ),
    "output_citation": "citation",
    "input_text": "prompt_text text_input prompt_details_text",
    "output_text": "completion_text text_output completion_details_text",
    "input_audio": "prompt_audio audio_input prompt_details_audio input_details_audio",
    "output_audio": "completion_audio audio_output completion_details_audio output_details_audio",
    "input_image": "prompt_image image_input prompt_details_image",
    "output_image": "completion_image image_output completion_details_image",
    "input_video": "prompt_video video_input",
    "output_video": "completion_video video_output",
    "cache_audio_read": "input_cached_audio cached_audio input_audio_cached cache_read_audio",
    "cache_image_read": "input_cached_image cached_image input_image_cached cache_read_image",
    "input_tool": (
        "tool_use_prompt_token_count input_tool_use_prompt_token_count tool_use_prompt "
        "input_tool_use tool_use"
    ),
    "audio_seconds": (
        "seconds duration_seconds duration audio_duration_seconds billable_audio_seconds"
    ),
    "input_audio_seconds": "input_seconds prompt_audio_seconds",
    "input_characters": "characters billable_characters",
    "input_document_pages": "pages document_pages pages_processed",
    "rerank_searches": "search_units",
    "web_searches": (
        "web_search_requests web_search_queries web_search_calls grounding_queries "
        "num_search_queries search_queries server_tool_use_web_search_requests"
    ),
    "storage_searches": "file_search_calls file_searches",
    "code_executions": "code_execution_requests code_interpreter_calls",
    "requests": "request",
    "total": "total_token_count",
}

_UNIT_OF_NAME: Final = {
    **{unit: unit for unit in _CHAINS},
    **{name: unit for unit, names in _NAMES.items() for name in names.split()},
}

_NO_TOKENS: Final = re.compile(
    r"(?:images|seconds|ms|characters|chars|pages|pixels|messages|requests|calls|searches|queries|cost)$"
)
_WRITTEN: Final = re.compile(r"creat|writ")
_THOUGHT: Final = re.compile(r"reason|think|thought")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PREFIXES: Final = ("gen_ai_usage_", "llm_token_count_", "usage_metadata_", "usage_")
_NAME_LENGTH_MAX: Final = 100
_SEPARATOR: Final = "[_.-]?"


def unit_of(usage_type: str) -> str | None:
    """Return the unit of a usage type; None if it is unknown.

    Spelling does not matter: ``cacheReadInputTokens``, ``gen_ai.usage.cache_read.input_tokens`` and
    ``cache_read_input_tokens`` are the same.
    """
    if usage_type in _UNIT_OF_NAME:
        return _UNIT_OF_NAME[usage_type]
    if len(usage_type) > _NAME_LENGTH_MAX:
        return None
    name = _CAMEL.sub("_", usage_type).lower().replace(".", "_").replace("-", "_")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    name = name.replace("_tokens_details_", "_details_").replace("_token_details_", "_details_")
    unit = _UNIT_OF_NAME.get(name) or _UNIT_OF_NAME.get(name.removesuffix("_tokens"))
    return unit or _unit_of_part(name)


def _unit_of_part(name: str) -> str | None:
    """Return the unit of an unknown kind of input or output, so that it is not free."""
    side, _, kind = name.partition("_")
    if side not in ("input", "output") or _NO_TOKENS.search(name):
        return None
    if side == "input" and "cache" in kind:
        return "cache_write" if _WRITTEN.search(kind) else "cache_read"
    return "output_reasoning" if side == "output" and _THOUGHT.search(kind) else side


def cache_pattern(kind: str) -> str:
    """Return a regular expression (RE2) of the known usage types that a cache had or stored.

    Args:
        kind: ``read`` or ``write``; the latter with those of all times to live.
    """
    names = sorted(
        name.replace("_details_", "_(tokens?_)?details_").replace("_", _SEPARATOR)
        for name, unit in _UNIT_OF_NAME.items()
        if unit in INPUT_TOKEN_UNITS and unit.startswith("cache") and f"_{kind}" in unit
    )
    prefixes = "|".join(prefix.replace("_", _SEPARATOR) for prefix in _PREFIXES)
    return f"(?i)^({prefixes})?({'|'.join(names)})({_SEPARATOR}tokens)?$"


def fallbacks(unit: str) -> tuple[str, ...]:
    """Return ``unit`` and the units whose prices may replace its own, most specific first."""
    return _CHAINS.get(unit, (unit,))
