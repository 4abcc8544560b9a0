"""Usage as clients report it, brought to buckets that do not overlap.

Every vendor counts its own way: OpenAI's ``prompt_tokens`` include the cached ones, Anthropic's ``input_tokens`` do not; Gemini's candidates exclude
thoughts, OpenAI's completions include them. Here each unit ends up in exactly one bucket, so that prices can be applied bucket by bucket:
``input`` and ``output`` hold what is in no other, ``input_…`` and ``output_…`` the particular ones, ``total`` the client's own sum (never computed here).

The shapes: Langfuse's public API (``usageDetails``, ``usage``), the OpenAI, Anthropic, Gemini, Bedrock, LangChain, LiteLLM and Vercel clients' objects,
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from producers import metrics
from producers.gateway.values.json_size import check_item, decode_json
from producers.gateway.values.money import pico_of_usd
from tracemill.contract import COUNT_MAX, is_cost

TYPES_MAX: Final = 100
"""Usage types of one observation; further ones are dropped."""

TYPE_LENGTH_MAX: Final = 200

_SUMS: Final = ("input", "output", "total")
_TOKENS: Final = "TOKENS"
_UNIT: Final = re.compile(r"[A-Za-z_]{1,32}")
_NO_COUNTS: Final = frozenset({"unit", "inputCost", "outputCost", "totalCost"})
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode


def count_of(value: Any) -> int | None:
    """A count given as a whole, non-negative number or its decimal text; ``None`` when it is none, or above ``COUNT_MAX``."""
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            return None
        value = int(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value > COUNT_MAX:
        metrics.LIMIT_REACHED.labels(limit="count_max").inc()
        return None
    if not value >= 0 or value != int(value):
        return None
    return int(value)


class _Buckets:
    """Buckets in the making: sums, the parts that are inside them, and what stands apart."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}
        self.parts: dict[str, dict[str, int]] = {"input": {}, "output": {}}
        self.apart: dict[str, int] = {}
        self.lifetimes: dict[str, int] = {}

    def add_sum(self, value: Any, *, bucket: str) -> None:
        _add(self.sums, bucket, value)

    def add_part(self, value: Any, *, side: str, bucket: str) -> None:
        count = count_of(value)
        if count is not None:
            parts = self.parts[side]
            parts[bucket] = max(count, parts.get(bucket, 0))

    def add_details(self, value: Any, *, side: str) -> None:
        """Parts of a sum: a map by kind, or Gemini's list by modality."""
        if isinstance(value, dict):
            named = value.items()
        elif isinstance(value, list):
            items = [item for item in value if isinstance(item, dict)]
            named = {
                f"{str(item.get('modality')).lower()}_tokens": item.get(
                    "token_count", item.get("tokenCount")
                )
                for item in items
            }.items()
        else:
            return
        for name, count in named:
            if name not in _REMAINDERS:
                bucket = f"{side}_{_PART_NAMES.get(name, name)}"
                self.add_part(count, side=side, bucket=bucket)

    def add_apart(self, value: Any, *, bucket: str) -> None:
        _add(self.apart, bucket, value)

    def add_tools(self, value: Any) -> None:
        for name, count in value.items() if isinstance(value, dict) else ():
            _add(self.apart, name, count)

    def add_lifetimes(self, value: Any) -> None:
        """Anthropic's cache writes by how long they last: parts of ``cache_creation_input_tokens``."""
        if not isinstance(value, dict):
            _add(self.apart, "cache_creation", value)
            return
        for lifetime in ("5m", "1h"):
            name = f"input_cache_creation_{lifetime}"
            _add(self.lifetimes, name, value.get(f"ephemeral_{lifetime}_input_tokens"))

    def ignore(self, value: Any) -> None:
        """What only says again what another key says."""

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
        found |= self.apart
        for bucket, count in self.lifetimes.items():
            found[bucket] = count
            for writes in ("cache_creation_input_tokens", "input_cache_creation"):
                if writes in found:
                    found[writes] = max(found[writes] - count, 0)
        return found


def _add(counts: dict[str, int], bucket: Any, value: Any) -> None:
    count = count_of(value)
    if count is not None and isinstance(bucket, str):
        counts.setdefault(bucket, count)


_Role = Callable[[_Buckets, Any], None]


def _roles(role: Callable[..., None], names: str, **arguments: str) -> dict[str, _Role]:
    return dict.fromkeys(names.split(), partial(role, **arguments))


_ROLES: Final[dict[str, _Role]] = {
    **_roles(
        _Buckets.add_sum,
        "prompt_tokens input_tokens promptTokens inputTokens prompt_token_count promptTokenCount "
        "prompt_eval_count",
        bucket="input",
    ),
    **_roles(
        _Buckets.add_sum,
        "completion_tokens output_tokens completionTokens outputTokens candidates_token_count "
        "candidatesTokenCount response_token_count responseTokenCount eval_count",
        bucket="output",
    ),
    **_roles(
        _Buckets.add_sum,
        "total_tokens totalTokens total_token_count totalTokenCount",
        bucket="total",
    ),
    **_roles(
        _Buckets.add_details,
        "prompt_tokens_details input_tokens_details input_token_details promptTokensDetails "
        "inputTokensDetails inputTokenDetails",
        side="input",
    ),
    **_roles(
        _Buckets.add_details,
        "completion_tokens_details output_tokens_details output_token_details "
        "completionTokensDetails outputTokensDetails outputTokenDetails "
        "candidates_tokens_details candidatesTokensDetails",
        side="output",
    ),
    **_roles(
        _Buckets.add_part,
        "cachedInputTokens prompt_cache_hit_tokens cached_content_token_count "
        "cachedContentTokenCount",
        side="input",
        bucket="input_cached_tokens",
    ),
    **_roles(_Buckets.add_part, "reasoningTokens", side="output", bucket="output_reasoning_tokens"),
    **_roles(
        _Buckets.add_apart,
        "thoughts_token_count thoughtsTokenCount",
        bucket="output_reasoning_tokens",
    ),
    **_roles(
        _Buckets.add_apart,
        "tool_use_prompt_token_count toolUsePromptTokenCount",
        bucket="input_tool_use_tokens",
    ),
    **_roles(_Buckets.add_tools, "server_tool_use"),
    **_roles(_Buckets.add_lifetimes, "cache_creation"),
    **_roles(_Buckets.ignore, "prompt_cache_miss_tokens"),
}
"""What vendors' keys mean. OpenAI, Gemini, DeepSeek and Vercel count cached tokens into the input; Gemini does not count thoughts into the output."""

_LITELLM_ROLES: Final[dict[str, _Role]] = {
    **_roles(
        _Buckets.add_part, "cache_read_input_tokens", side="input", bucket="input_cached_tokens"
    ),
    **_roles(
        _Buckets.add_part,
        "cache_creation_input_tokens",
        side="input",
        bucket="input_cache_creation",
    ),
}
"""Inside ``prompt_tokens``, as LiteLLM counts; beside ``input_tokens``, as Anthropic does."""

_PART_NAMES: Final = {
    "cacheReadTokens": "cached_tokens",
    "cachedTokens": "cached_tokens",
    "cacheWriteTokens": "cache_creation",
    "audioTokens": "audio_tokens",
    "imageTokens": "image_tokens",
    "reasoningTokens": "reasoning_tokens",
}
_REMAINDERS: Final = frozenset({"text_tokens", "textTokens", "noCacheTokens", "text"})
"""Details that name the rest of a sum, which ``input`` or ``output`` itself is here."""


def normalise_usage_details(obj: Any) -> dict[str, int]:
    """Buckets of a ``usageDetails`` object (or of any vendor's usage object); empty when there are none.

    * Sums with details (``prompt_tokens`` + ``prompt_tokens_details`` …, and the other inclusive shapes): the details become ``input_<kind>`` and
      ``output_<kind>`` and are taken out of ``input`` and ``output``, which do not fall below zero.
    * Anything else is a free map whose types do not overlap: non-negative whole numbers and their decimal texts are kept under their names, except that
      the vendors' names for the plain sums become ``input``, ``output`` and ``total``; other values are dropped.
    """
    if not isinstance(obj, dict):
        return {}
    roles = _ROLES | _LITELLM_ROLES if "prompt_tokens" in obj else _ROLES
    buckets = _Buckets()
    for key, value in _first_types(obj):
        if not isinstance(key, str) or len(key) > TYPE_LENGTH_MAX:
            continue
        if key in roles:
            roles[key](buckets, value)
        elif key in _SUMS:
            buckets.add_sum(value, bucket=key)
        else:
            buckets.add_apart(value, bucket=key)
    return buckets.exclusive()


def usage_details_of_json(text: str) -> dict[str, int]:
    """As ``normalise_usage_details``, from JSON text; quick where nothing needs to be done."""
    try:
        check_item(text)
        counts = _decode_counts(text)
    except msgspec.ValidationError:
        return normalise_usage_details(_json_or_none(text))
    except msgspec.DecodeError:
        return {}
    for name, count in counts.items():
        if name in _ROLES or not 0 <= count <= COUNT_MAX or len(name) > TYPE_LENGTH_MAX:
            return normalise_usage_details(counts)
    return counts if len(counts) <= TYPES_MAX else normalise_usage_details(counts)


def _json_or_none(text: str) -> Any:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        return None


def normalise_usage(obj: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Buckets and given costs in picodollars of the older ``usage`` object of the ingestion API.

    Takes ``{input, output, total, unit, inputCost, outputCost, totalCost}`` and ``{promptTokens, completionTokens, totalTokens}``; a vendor's object in its
    place is read as ``usageDetails``. Costs are by the keys ``input``, ``output`` and ``total``. What is not counted in tokens has buckets of its own.
    """
    if not isinstance(obj, dict):
        return {}, {}
    costs = {bucket: pico_of_usd(obj.get(f"{bucket}Cost")) for bucket in _SUMS}
    usage = normalise_usage_details({k: v for k, v in obj.items() if k not in _NO_COUNTS})
    unit = obj.get("unit")
    if isinstance(unit, str) and _UNIT.fullmatch(unit) and unit.upper() != _TOKENS:
        usage = _in_unit(usage, unit.lower())
    return usage, _believed({bucket: pico for bucket, pico in costs.items() if pico is not None})


def _in_unit(usage: dict[str, int], unit: str) -> dict[str, int]:
    """Sums under the name of what they count: 1,000 ``input_characters`` are no 1,000 ``input`` tokens."""
    if usage.keys() & {"input", "output"}:
        # A total that stands alone is all there is to price; beside its parts it only sums them up.
        usage = {bucket: count for bucket, count in usage.items() if bucket != "total"}
    names = {"input": f"input_{unit}", "output": f"output_{unit}", "total": unit}
    return {names.get(bucket, bucket): count for bucket, count in usage.items()}


def normalise_cost_details(obj: Any) -> dict[str, int]:
    """Picodollars by usage type of a ``costDetails`` object: the amounts that are numbers (or their decimal texts) and not negative.

    Nothing where they add up to more than one observation may cost.
    """
    if not isinstance(obj, dict):
        return {}
    found: dict[str, int] = {}
    for key, value in _first_types(obj):
        pico = pico_of_usd(value)
        if pico is not None and isinstance(key, str) and len(key) <= TYPE_LENGTH_MAX:
            found[key] = pico
    return _believed(found)


def _believed(cost: dict[str, int]) -> dict[str, int]:
    if is_cost(cost):
        return cost
    metrics.LIMIT_REACHED.labels(limit="observation_cost_max").inc()
    return {}


def _first_types(obj: dict[Any, Any]) -> list[tuple[Any, Any]]:
    items = list(obj.items())
    if len(items) > TYPES_MAX:
        metrics.LIMIT_REACHED.labels(limit="usage_types_max").inc()
    return items[:TYPES_MAX]
