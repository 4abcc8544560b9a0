"""Usage as clients report it, brought to buckets that do not overlap.

Every vendor counts its own way: OpenAI's ``prompt_tokens`` include the cached ones, Anthropic's ``input_tokens`` do not; Gemini's candidates exclude
thoughts, OpenAI's completions include them. Here each unit ends up in exactly one bucket, so that prices can be applied bucket by bucket:
``input`` and ``output`` hold what is in no other, ``input_…`` and ``output_…`` the particular ones, ``total`` the client's own sum (never computed here).

The shapes: Langfuse's public API (``usageDetails``, ``usage``), the OpenAI, Anthropic, Gemini, Bedrock, LangChain, LiteLLM and Vercel clients' objects,
and the suffixes of ``gen_ai.usage.*`` and ``llm.token_count.*`` attributes (OpenTelemetry GenAI and OpenInference conventions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from producers.gateway.money import pico_of_usd

COUNT_MAX: Final = 2**53
"""Counts above it are nonsense, and JSON readers would round them."""

TYPES_MAX: Final = 100
"""Usage types of one observation; further ones are dropped."""

_KEY_LENGTH_MAX: Final = 200


def count_of(value: Any) -> int | None:
    """A count given as a whole, non-negative number or its decimal text; ``None`` when it is none."""
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            return None
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= COUNT_MAX or value != int(value):
        return None
    return int(value)


def _renamed(**names: str) -> dict[str, str]:
    """Bucket by client's name, from the names of each bucket."""
    return {name: bucket for bucket, joined in names.items() for name in joined.split()}


_BASES: Final = _renamed(
    input="prompt_tokens input_tokens promptTokens inputTokens prompt_token_count promptTokenCount "
    "prompt_eval_count",
    output="completion_tokens output_tokens completionTokens outputTokens candidates_token_count "
    "candidatesTokenCount response_token_count responseTokenCount eval_count",
    total="total_tokens totalTokens total_token_count totalTokenCount",
)
"""What vendors call the sums; the names of the buckets themselves (``input``) are taken as exclusive already."""

_INPUT_DETAILS: Final = frozenset(
    [
        "prompt_tokens_details",
        "input_tokens_details",
        "input_token_details",
        "promptTokensDetails",
        "inputTokensDetails",
        "inputTokenDetails",
    ]
)
_OUTPUT_DETAILS: Final = frozenset(
    [
        "completion_tokens_details",
        "output_tokens_details",
        "output_token_details",
        "completionTokensDetails",
        "outputTokensDetails",
        "outputTokenDetails",
        "candidates_tokens_details",
        "candidatesTokensDetails",
    ]
)
_PART_NAMES: Final = _renamed(
    cached_tokens="cacheReadTokens cachedTokens",
    cache_creation="cacheWriteTokens",
    audio_tokens="audioTokens",
    image_tokens="imageTokens",
    reasoning_tokens="reasoningTokens",
)
_REMAINDERS: Final = frozenset(["text_tokens", "textTokens", "text_token", "noCacheTokens", "text"])
"""Details that name the rest of a sum, which ``input`` or ``output`` itself is here."""

_INPUT_PARTS: Final = _renamed(
    input_cached_tokens="cachedInputTokens prompt_cache_hit_tokens cached_content_token_count "
    "cachedContentTokenCount",
)
_OUTPUT_PARTS: Final = _renamed(output_reasoning_tokens="reasoningTokens")
_LITELLM_PARTS: Final = {
    "cache_read_input_tokens": "input_cached_tokens",
    "cache_creation_input_tokens": "input_cache_creation",
}
"""Inside ``prompt_tokens`` (LiteLLM counts them in); beside ``input_tokens`` (Anthropic does not)."""

_APART: Final = _renamed(
    output_reasoning_tokens="thoughts_token_count thoughtsTokenCount",
    input_tool_use_tokens="tool_use_prompt_token_count toolUsePromptTokenCount",
)
_IGNORED: Final = frozenset({"prompt_cache_miss_tokens"})
"""The rest of ``prompt_tokens`` once more."""


class _Buckets:
    """Buckets in the making: sums, and the parts that are inside them."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.parts: dict[str, dict[str, int]] = {"input": {}, "output": {}}
        self.apart: dict[str, int] = {}

    def add_part(self, side: str, bucket: str, value: Any) -> None:
        count = count_of(value)
        if count is not None:
            parts = self.parts[side]
            parts[bucket] = max(count, parts.get(bucket, 0))

    def add_details(self, side: str, details: Any) -> None:
        """Details inside a sum: a map by kind, or Gemini's list by modality."""
        if isinstance(details, dict):
            for name, value in details.items():
                if name not in _REMAINDERS:
                    self.add_part(side, f"{side}_{_PART_NAMES.get(name, name)}", value)
        elif isinstance(details, list):
            for item in details:
                if not isinstance(item, dict) or not isinstance(item.get("modality"), str):
                    continue
                modality = item["modality"].lower()
                if modality != "text":
                    count = item.get("token_count", item.get("tokenCount"))
                    self.add_part(side, f"{side}_{modality}_tokens", count)

    def exclusive(self) -> dict[str, int]:
        """Parts taken out of their sums; together they never exceed the sum they are in."""
        found = dict(self.sums)
        for side, parts in self.parts.items():
            rest = self.sums.get(side)
            for bucket, count in parts.items():
                taken = count if rest is None else min(count, rest)
                found[bucket] = taken
                if rest is not None:
                    rest -= taken
            if rest is not None:
                found[side] = rest
        return found | self.apart


def normalise_usage_details(obj: Any) -> dict[str, int]:
    """Buckets of a ``usageDetails`` object (or of any vendor's usage object); empty when there are none.

    * Sums with details (``prompt_tokens`` + ``prompt_tokens_details`` …, and the other inclusive shapes): the details become ``input_<kind>`` and
      ``output_<kind>`` and are taken out of ``input`` and ``output``, which do not fall below zero.
    * Anything else is a free map whose types do not overlap: non-negative whole numbers and their decimal texts are kept under their names, except that
      the vendors' names for the plain sums become ``input``, ``output`` and ``total``; other values are dropped.
    """
    if not isinstance(obj, dict):
        return {}
    buckets = _Buckets()
    creation: Any = None
    for key, value in obj.items():
        if not isinstance(key, str) or len(key) > _KEY_LENGTH_MAX or key in _IGNORED:
            continue
        if key in _INPUT_DETAILS:
            buckets.add_details("input", value)
        elif key in _OUTPUT_DETAILS:
            buckets.add_details("output", value)
        elif key in _INPUT_PARTS:
            buckets.add_part("input", _INPUT_PARTS[key], value)
        elif key in _OUTPUT_PARTS:
            buckets.add_part("output", _OUTPUT_PARTS[key], value)
        elif key in _LITELLM_PARTS and "prompt_tokens" in obj:
            buckets.add_part("input", _LITELLM_PARTS[key], value)
        elif key == "cache_creation" and isinstance(value, dict):
            creation = value
        elif key == "server_tool_use" and isinstance(value, dict):
            _add_counts(buckets.apart, value.items())
        elif key in _BASES and _BASES[key] not in obj:
            _add_counts(buckets.sums, [(_BASES[key], value)])
        else:
            _add_counts(buckets.apart, [(_APART.get(key, key), value)])
    found = buckets.exclusive()
    if creation is not None:
        _split_cache_creation(found, creation)
    return dict(list(found.items())[:TYPES_MAX])


def _add_counts(counts: dict[str, int], items: Iterable[tuple[Any, Any]]) -> None:
    for name, value in items:
        count = count_of(value)
        if count is not None and isinstance(name, str) and name not in counts:
            counts[name] = count


def _split_cache_creation(buckets: dict[str, int], by_lifetime: dict[Any, Any]) -> None:
    """Take Anthropic's cache writes by lifetime out of their sum."""
    for lifetime in ("5m", "1h"):
        count = count_of(by_lifetime.get(f"ephemeral_{lifetime}_input_tokens"))
        if count is None:
            continue
        buckets[f"input_cache_creation_{lifetime}"] = count
        for total in ("cache_creation_input_tokens", "input_cache_creation"):
            if total in buckets:
                buckets[total] = max(buckets[total] - count, 0)


def normalise_usage(obj: Any) -> tuple[dict[str, int], dict[str, int], str | None]:
    """Buckets, given costs in picodollars and the unit of the older ``usage`` object of the ingestion API.

    Takes ``{input, output, total, unit, inputCost, outputCost, totalCost}`` and ``{promptTokens, completionTokens, totalTokens}`` (unit ``TOKENS``);
    a vendor's object in its place is read as ``usageDetails``. Costs are those of the keys ``input``, ``output`` and ``total``.
    """
    if not isinstance(obj, dict):
        return {}, {}, None
    costs = {name: pico_of_usd(obj.get(f"{name}Cost")) for name in ("input", "output", "total")}
    counts = {key: value for key, value in obj.items() if key not in ("unit", *_COST_KEYS)}
    usage = normalise_usage_details(counts)
    unit = obj.get("unit")
    if not isinstance(unit, str):
        unit = "TOKENS" if any(key in _BASES for key in obj) else None
    return usage, {name: pico for name, pico in costs.items() if pico is not None}, unit


_COST_KEYS: Final = ("inputCost", "outputCost", "totalCost")


def normalise_cost_details(obj: Any) -> dict[str, int]:
    """Picodollars by usage type of a ``costDetails`` object: the amounts that are numbers (or their decimal texts) and not negative."""
    if not isinstance(obj, dict):
        return {}
    found: dict[str, int] = {}
    for key, value in list(obj.items())[:TYPES_MAX]:
        pico = pico_of_usd(value)
        if pico is not None and isinstance(key, str) and len(key) <= _KEY_LENGTH_MAX:
            found[key] = pico
    return found


_COUNT_SUMS: Final = {
    "input": ("prompt_tokens", "input_tokens", "prompt"),
    "output": ("completion_tokens", "output_tokens", "completion"),
    "total": ("total_tokens", "total"),
}
_COUNT_PARTS: Final = {
    "input": {
        "input_cached_tokens": [
            "cache_read.input_tokens",
            "cache_read_input_tokens",
            "cache_read_tokens",
            "details.cache_read_tokens",
            "details.cache_read_input_tokens",
            "prompt_details.cache_read",
            "prompt_details.cache_input",
            "input_cached_tokens",
        ],
        "input_cache_creation": [
            "cache_creation.input_tokens",
            "cache_creation_input_tokens",
            "cache_write_tokens",
            "details.cache_write_tokens",
            "details.cache_creation_input_tokens",
            "prompt_details.cache_write",
            "input_cache_creation",
        ],
        "input_audio_tokens": ["prompt_details.audio", "input_audio_tokens"],
    },
    "output": {
        "output_reasoning_tokens": [
            "reasoning.output_tokens",
            "completion_details.reasoning",
            "reasoning_tokens",
            "details.reasoning_tokens",
            "details.thoughts_tokens",
            "output_reasoning_tokens",
        ],
        "output_audio_tokens": ["completion_details.audio", "output_audio_tokens"],
    },
}
_COUNTS_KNOWN: Final = frozenset(
    name
    for names in (
        *_COUNT_SUMS.values(),
        *(names for parts in _COUNT_PARTS.values() for names in parts.values()),
    )
    for name in names
)


def normalise_token_counts(raw: Mapping[str, int]) -> dict[str, int]:
    """Buckets of span attributes, by what follows ``gen_ai.usage.`` or ``llm.token_count.``: ``input_tokens``, ``prompt_details.cache_read`` …

    Sums include their parts in these conventions: cached tokens and cache writes are taken out of ``input``, reasoning and audio out of ``output``,
    down to zero. Types that are not known are kept without a leading ``details.``, unless they count tokens: those are a breakdown of the sums.
    """
    found: dict[str, int] = {}
    for bucket, names in _COUNT_SUMS.items():
        _take_first(found, bucket, raw, names)
    for side, parts in _COUNT_PARTS.items():
        for bucket, part_names in parts.items():
            _take_first(found, bucket, raw, part_names)
            if side in found and bucket in found:
                found[side] = max(found[side] - found[bucket], 0)
    for name, count in raw.items():
        is_breakdown = name.startswith("details.") and name.endswith("_tokens")
        if name not in _COUNTS_KNOWN and not is_breakdown:
            found.setdefault(name.removeprefix("details."), count)
    return dict(list(found.items())[:TYPES_MAX])


def _take_first(
    found: dict[str, int], bucket: str, raw: Mapping[str, int], names: Iterable[str]
) -> None:
    for name in names:
        if name in raw:
            found[bucket] = raw[name]
            return
