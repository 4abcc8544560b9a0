"""What a request's parameters say about its price: service tier, batch processing, speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.core.bounded_cache import BoundedCache
from streams.core.observations.json_texts import json_of

CACHE_BYTES_MAX: Final = 4 * 2**20
"""Parameter texts whose meaning is remembered: applications repeat themselves."""
CACHED_CHARS_MAX: Final = 4_096
"""Longer ones are parsed each time."""
VALUE_CHARS_MAX: Final = 100
"""No condition has a longer value; such a one holds for no price."""

NO_CONTEXT: Final[Mapping[str, str]] = {}
_CONDITIONS: Final = ("speed", "processing", "route", "search_type")


def context_of(parameters: str) -> Mapping[str, str]:
    """The pricing conditions in ``parameters``, the JSON text of an object; empty when it says nothing or is no such text."""
    return _contexts[parameters] if parameters else NO_CONTEXT


def _context_of(parameters: str) -> Mapping[str, str]:
    stated = json_of(parameters)
    if not isinstance(stated, dict):
        return NO_CONTEXT
    tier = stated.get("service_tier") or stated.get("serviceTier")  # the latter: Vercel's spelling
    context = {"service_tier": tier} | {key: stated.get(key) for key in _CONDITIONS}
    if stated.get("batch") is True or (isinstance(tier, str) and tier.lower() == "batch"):
        context["processing"] = "batch"
    return {
        key: value.lower()
        for key, value in context.items()
        if isinstance(value, str) and len(value) <= VALUE_CHARS_MAX
    }


_contexts: Final = BoundedCache(
    _context_of, bytes_max=CACHE_BYTES_MAX, key_chars_max=CACHED_CHARS_MAX
)
