"""Read how an application's cache answered from metadata, and an error's class from its message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tracemill.contract import AppCache

HIT_NAMES: Final = ("cache_hit", "cacheHit", "cache.hit")
TYPE_NAMES: Final = ("cache.type", "cache_type", "cacheType")
OBJECT_NAME: Final = "cache"
"""An object with the members ``hit`` and ``type``."""
CACHE_NAMES: Final = (*HIT_NAMES, *TYPE_NAMES, OBJECT_NAME)
"""Names of metadata and attributes that state how a cache of the application answered."""
TEXT_CHARS_MAX: Final = 64
"""Longest text of a mark."""

_HITS: Final = frozenset({"true", "1", "1.0", "yes", "hit"})
_MISSES: Final = frozenset({"false", "0", "0.0", "no", "miss", "none"})

_CLASS: Final = re.compile(
    r"\s*(?:[A-Za-z_]\w*\.)*"
    r"([A-Za-z_]\w{0,80}?(?:Error|Exception|Timeout|Failure|Fault|Interrupt|Exit))(?![A-Za-z])"
)
_STATUS: Final = re.compile(
    r"\s*(?:(?:http|error|status)(?:[ _]?code)?:? ?){0,2}([45]\d\d)(?!\d)", re.IGNORECASE
)


def cache_mark_of(hit: Any, cache_type: Any) -> AppCache | None:
    """Return how a cache answered; None if neither value states it.

    Args:
        hit: whether the cache answered: a boolean, 0 or 1, or a text such as ``true`` or ``hit``;
            it may also name the type.
        cache_type: ``semantic`` for an answer to a similar request, ``miss``, or another type.
            Hits of other types are exact.
    """
    answered, kind = _text(hit), _text(cache_type)
    if answered in _MISSES:
        return "miss"
    if answered in _HITS:
        return "semantic" if "semantic" in kind else "exact"
    for text in (answered, kind):
        if "semantic" in text:
            return "semantic"
        if "exact" in text:
            return "exact"
        if text == "miss":
            return "miss"
    return None


def cache_mark_in(metadata: Mapping[Any, Any]) -> AppCache | None:
    """Return how a cache answered, according to metadata or attributes."""
    nested = metadata.get(OBJECT_NAME)
    inner = nested if isinstance(nested, Mapping) else {}
    hit = next((metadata[name] for name in HIT_NAMES if name in metadata), inner.get("hit"))
    kind = next((metadata[name] for name in TYPE_NAMES if name in metadata), inner.get("type"))
    return cache_mark_of(hit, kind)


def error_type_of(message: Any) -> str | None:
    """Return the class of an error from its message, or its HTTP status; None if it has neither.

    ``openai.RateLimitError: Error code: 429`` is ``RateLimitError``; ``429 Too Many Requests`` is
    ``429``.
    """
    if not isinstance(message, str):
        return None
    found = _CLASS.match(message) or _STATUS.match(message)
    return found[1] if found else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip().lower() if len(value) <= TEXT_CHARS_MAX else ""
    return str(value).lower() if isinstance(value, bool | int | float) else ""
