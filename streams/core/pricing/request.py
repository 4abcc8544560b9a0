"""Extract pricing conditions from the parameters of a request: service tier, batch, speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.core.bounded_cache import BoundedCache
from streams.core.observations.json_texts import json_of

CACHE_BYTES_MAX: Final = 4 * 2**20
"""Maximum size of the cache of parsed parameters, which repeat often."""
CACHED_CHARS_MAX: Final = 4_096
"""Maximum length of cached parameters."""
VALUE_CHARS_MAX: Final = 100
"""Maximum length of a condition's value; longer values match no condition."""

TIERS_WITH_OWN_PRICES: Final = frozenset({"batch", "fast", "flex", "priority"})
"""Service tiers that providers sell at other prices than the standard ones."""

NO_CONTEXT: Final[Mapping[str, str]] = {}
_CONDITIONS: Final = ("speed", "processing", "route", "search_type")


def context_of(parameters: str) -> Mapping[str, str]:
    """Return the pricing conditions in ``parameters``, a JSON object; empty if there are none."""
    return _contexts[parameters] if parameters else NO_CONTEXT


def served_by(tier: str, requested: Mapping[str, str]) -> Mapping[str, str]:
    """Return the requested conditions with the tier that served the call, not the requested one."""
    tier = tier.lower()
    context = {**requested, "service_tier": tier}
    if tier == "batch":
        context["processing"] = "batch"
    elif tier == "fast":
        context["speed"] = "fast"
    return context


def conditions_of(parameters: str, served_tier: str) -> Mapping[str, str]:
    """Return the pricing conditions of a call: the requested ones, in the tier that served it."""
    context = context_of(parameters)
    return served_by(served_tier, context) if served_tier else context


def _context_of(parameters: str) -> Mapping[str, str]:
    values = json_of(parameters)
    if not isinstance(values, dict):
        return NO_CONTEXT
    tier = values.get("service_tier") or values.get("serviceTier")  # the latter: Vercel's spelling
    context = {"service_tier": tier} | {key: values.get(key) for key in _CONDITIONS}
    if values.get("batch") is True or (isinstance(tier, str) and tier.lower() == "batch"):
        context["processing"] = "batch"
    return {
        key: value.lower()
        for key, value in context.items()
        if isinstance(value, str) and len(value) <= VALUE_CHARS_MAX
    }


_contexts: Final = BoundedCache(
    _context_of, bytes_max=CACHE_BYTES_MAX, key_chars_max=CACHED_CHARS_MAX
)
