"""Read the usage objects of providers and frameworks, nested as they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from tracemill.contract import COUNT_MAX
from tracemill.reconciliation import dialects
from tracemill.reconciliation.counts import Reconciled
from tracemill.reconciliation.dialects import Dialect
from tracemill.reconciliation.iterations import further_iterations
from tracemill.reconciliation.partition import reconcile
from tracemill.reconciliation.reported import PARTS_MAX
from tracemill.reconciliation.roles import NAME_LENGTH_MAX

DEPTH_MAX: Final = 4
"""Levels of a usage object that are read; no provider nests counts deeper."""
_DIGITS_MAX: Final = 16
_TIER_LENGTH_MAX: Final = 100
_BILLED: Final = "billed_units"
"""Cohere reports tokens twice, and bills these."""


_TIER_OF_TRAFFIC: Final = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
"""Service tiers by the type of traffic that Vertex AI reports."""


Count = Callable[[Any], int | None]
"""Reads a count as ``count_of`` does."""


def number_of(value: Any) -> int | float | None:
    """Return a number, also of the decimal text of a whole one (``12.0``); else ``None``."""
    if isinstance(value, str):
        text, _, decimals = value.strip().partition(".")
        if decimals.strip("0"):
            return None
        is_whole = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
        return int(text) if is_whole else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def count_of(value: Any) -> int | None:
    """Return a whole count from 0 to ``COUNT_MAX``, also of its decimal text; else ``None``."""
    number = number_of(value)
    if number is None or not 0 <= number <= COUNT_MAX or number != int(number):
        return None
    return int(number)


def reconcile_object(usage: Mapping[Any, Any], count: Count = count_of) -> Reconciled:
    """Return the disjoint counts of a usage object, in the dialect that it looks like."""
    billed = usage.get(_BILLED)
    if isinstance(billed, Mapping):
        usage = billed
    pairs = list(_counts_in(usage, count))
    further = further_iterations(usage, pairs, count)
    found = reconcile(further.pairs, dialect_of({name for name, _ in pairs}))
    if (doubt := further.doubt or _doubt(usage)) and not found.uncertain:
        found = msgspec.structs.replace(found, uncertain=doubt)
    tier = usage.get("service_tier") or usage.get("serviceTier")
    if usage.get("speed") == "fast":  # Anthropic's fast mode, which has prices of its own
        tier = "fast"
    if not tier:
        tier = _TIER_OF_TRAFFIC.get(str(usage.get("trafficType") or usage.get("traffic_type")))
    if (stated := tier_of(tier)) and not found.service_tier:
        return msgspec.structs.replace(found, service_tier=stated)
    return found


def _doubt(usage: Mapping[Any, Any]) -> str:
    """Return what decides the price of a call, but has none in the list; empty if nothing does."""
    geo = usage.get("inference_geo")
    is_surcharged = isinstance(geo, str) and geo.lower() == "us"
    return "inference_geo us has a surcharge that is not in the cost" if is_surcharged else ""


def tier_of(value: Any) -> str:
    """Return a service tier; empty if the value is none, or leaves the choice (``auto``)."""
    is_tier = isinstance(value, str) and 0 < len(value) <= _TIER_LENGTH_MAX
    return value if is_tier and value != "auto" else ""


def tier_in(metadata: Mapping[Any, Any]) -> str:
    """Return the service tier that metadata of a call state."""
    return tier_of(metadata.get("service_tier")) or tier_of(metadata.get("serviceTier"))


def _counts_in(usage: Mapping[Any, Any], count: Count) -> Iterator[tuple[str, int]]:
    """Yield at most ``PARTS_MAX`` counts of a nested object, named by their paths."""
    for found, pair in enumerate(_counts_below(usage, "", DEPTH_MAX, count)):
        if found == PARTS_MAX:
            return
        yield pair


def _counts_below(
    usage: Mapping[Any, Any], path: str, depth: int, count: Count
) -> Iterator[tuple[str, int]]:
    for key, value in usage.items():
        if not isinstance(key, str) or len(path) + len(key) > NAME_LENGTH_MAX:
            continue
        name = path + key
        if isinstance(value, Mapping):
            if depth > 1:
                yield from _counts_below(value, f"{name}.", depth - 1, count)
        elif isinstance(value, list):
            yield from _itemized(value, f"{name}.", count)
        elif (found := count(value)) is not None:
            yield name, found


def _itemized(items: list[Any], path: str, count: Count) -> Iterator[tuple[str, int]]:
    """Yield lists of counts: by modality (Gemini), or of cache writes by lifetime (Bedrock)."""
    for item in items[:PARTS_MAX]:
        if not isinstance(item, Mapping):
            continue
        if isinstance(modality := item.get("modality"), str):
            name, found = modality.lower(), item.get("tokenCount", item.get("token_count"))
        elif isinstance(ttl := item.get("ttl"), str):
            name, found = f"cache_write_{ttl.lower()}", item.get("inputTokens")
        else:
            continue
        if len(name) <= NAME_LENGTH_MAX and (tokens := count(found)) is not None:
            yield f"{path}{name}_tokens", tokens


_GEMINI: Final = (
    *("promptTokenCount", "candidatesTokenCount", "prompt_token_count", "candidates_token_count"),
    *("responseTokenCount", "response_token_count"),
)
_OPENAI_SUMS: Final = ("prompt_tokens", "promptTokens", "completion_tokens", "completionTokens")
_OPENAI_PARTS: Final = ("cached_input_tokens", "cached_tokens", "reasoning_output_tokens")
"""Parts beside the sums, as Codex and OpenAI's Agents SDK report them."""
_OPENAI_DETAILS: Final = (
    *("input_tokens_details.", "output_tokens_details.", "input_token_details."),
    *("output_token_details.", "inputTokenDetails.", "outputTokenDetails."),
    *("prompt_tokens_details.", "completion_tokens_details.", "promptTokensDetails."),
)


def dialect_of(names: set[str]) -> Dialect:
    """Return the dialect that counts of these names are reported in."""
    if names.intersection(_GEMINI):
        return dialects.GEMINI
    if "prompt_eval_count" in names or names.intersection(_OPENAI_SUMS):
        return dialects.OPENAI
    if any(name.startswith(_OPENAI_DETAILS) for name in names):
        return dialects.OPENAI
    if "inputTokens" in names:
        bedrock = names & {
            "cacheReadInputTokens",
            "cacheWriteInputTokens",
            "cacheReadInputTokenCount",
        }
        return dialects.BEDROCK if bedrock else dialects.OPENAI
    if "input_tokens" in names or "output_tokens" in names:
        return dialects.OPENAI if names.intersection(_OPENAI_PARTS) else dialects.ANTHROPIC
    return dialects.LANGFUSE
