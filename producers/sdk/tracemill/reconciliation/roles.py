"""Read the role of a reported count from its name.

A name is split into words (``cacheReadInputTokens`` → cache, read, input, tokens); words without a
meaning here (``tokens``, ``count``, ``details``, ``usage``) are dropped and the rest decide side,
kind, modality and service tier. Nested objects pass the path as one name:
``prompt_tokens_details.cached_tokens``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Side = Literal["input", "output"]
Kind = Literal[
    "sum",
    "rest",
    "cache_read",
    "cache_write",
    "cache_write_5m",
    "cache_write_1h",
    "tool",
    "reasoning",
    "prediction",
    "modality",
    "other",
]
Modality = Literal["", "text", "audio", "image", "video", "document"]

NAME_LENGTH_MAX: Final = 200
_NAMES_CACHED_MAX: Final = 2_048
_CACHED_LENGTH_MAX: Final = 64
"""Characters of a name whose role is cached; no known name is longer."""


class Role(NamedTuple):
    """The meaning of one reported count.

    ``sum`` is a side's reported sum; ``rest`` is the part of a sum that no other count holds, such
    as the uncached input. ``modality`` is that of a part, or the part itself for kind ``modality``.
    """

    side: Side
    kind: Kind
    modality: Modality = ""
    tier: str = ""


class Total(NamedTuple):
    """The sum of all tokens of a call; a total may be that of one service tier."""

    tier: str = ""


class Beside(NamedTuple):
    """A count that is in no sum of tokens: searches, seconds, characters, unknown types."""

    is_unit: bool
    """Whether the name says that something else than tokens is counted."""
    modality: Modality = ""
    """Modality of tokens of which the name does not say whether they are input or output."""


class Ignored(NamedTuple):
    """A value that is not a count, such as a duration or a limit, or that repeats others."""


NameRole = Role | Total | Beside | Ignored

_INPUT: Final = frozenset({"input", "inputs", "prompt", "request", "in"})
_OUTPUT: Final = frozenset(
    {
        *("output", "outputs", "completion", "completions", "candidates", "candidate"),
        *("response", "generated", "generation", "out"),
    }
)
_CACHE: Final = frozenset({"cache", "cached", "caching"})
_WRITE: Final = frozenset({"creation", "create", "created", "write", "writes", "written"})
_FRESH: Final = frozenset({"miss", "uncached", "no", "fresh", "noncached"})
_REASONING: Final = frozenset({"reasoning", "reason", "thoughts", "thought", "thinking"})
_PREDICTION: Final = frozenset({"prediction", "predicted"})
_TIERS: Final = frozenset({"priority", "flex", "batch", "scale"})
_MODALITIES: Final[dict[str, Modality]] = {
    "text": "text",
    "audio": "audio",
    "image": "image",
    "images": "image",
    "video": "video",
    "document": "document",
}
_NOISE: Final = frozenset(
    {
        *("tokens", "token", "tokencount", "count", "counts", "details", "detail", "usage", "num"),
        *("number", "of", "n", "metadata", "units", "gen", "ai", "llm", "content", "eval"),
        *("modality", "read", "hit", "hits", "ephemeral", "use", "used", "claude", "accepted"),
        *("rejected", "model", "billed", "by", "ttl", "total", "the", "for", "from"),
        *("raw", "original", "provider", "native", "experimental"),
    }
)
_TOKEN_WORDS: Final = frozenset({"token", "tokens", "tokencount"})
_NOT_TOKENS: Final = frozenset(
    {
        *("seconds", "second", "sec", "s", "ms", "milliseconds", "millis", "minutes", "duration"),
        *("characters", "character", "chars", "pages", "page", "pixels", "messages", "requests"),
        *("calls", "searches", "search", "queries", "query", "sources", "citations", "websearch"),
        *("queries", "invocations", "sessions", "executions", "iterations", "results"),
    }
)
_NOT_COUNTS: Final = frozenset(
    {
        "time",
        "latency",
        "cost",
        "price",
        "upstream",
        "rate",
        "speed",
        "throughput",
        "geo",
        "percent",
        "bytes",
        *("max", "maximum", "limit", "limits", "window", "budget", "remaining", "quota"),
    }
)
_OF_OTHER_CALLS: Final = frozenset(
    {
        *("cumulative", "accumulated", "aggregated", "aggregate", "running", "session", "previous"),
        *("estimated", "estimate", "expected", "saved", "avg", "average", "mean"),
    }
)
"""Words of token counts that are not those of this call: of several calls, or not reported ones."""
_EXACT: Final[dict[str, NameRole]] = {
    "prompt_eval_count": Role("input", "sum"),
    "eval_count": Role("output", "sum"),
    "tokens": Total(),
    "token_count": Total(),
    **dict.fromkeys(
        ("total_duration", "load_duration", "eval_duration", "prompt_eval_duration"), Ignored()
    ),
}
"""Names whose words alone mislead (Ollama's, and a lone ``tokens``)."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS: Final = re.compile(r"[a-z]+|\d+[a-z]?")


def role_of(name: str) -> NameRole:
    """Return the role of the count called ``name``; names over ``NAME_LENGTH_MAX`` are ignored."""
    if len(name) <= _CACHED_LENGTH_MAX:
        return _cached_role(name)
    return _role_of(name) if len(name) <= NAME_LENGTH_MAX else Ignored()


def _role_of(name: str) -> NameRole:
    snake = _CAMEL.sub("_", name).lower()
    if (exact := _EXACT.get(snake)) is not None:
        return exact
    words = _lifetime_joined(_WORDS.findall(snake))
    found = set(words)
    if found & _NOT_COUNTS or (found & _OF_OTHER_CALLS and found & _TOKEN_WORDS):
        return Ignored()
    if found & _NOT_TOKENS and not found & _TOKEN_WORDS:
        return Beside(is_unit=True)
    tier = next((word for word in words if word in _TIERS), "")
    return _role(words, found, tier) or Beside(
        is_unit=False, modality=_modality_alone(words, found)
    )


_cached_role: Final = lru_cache(_NAMES_CACHED_MAX)(_role_of)


def _modality_alone(words: list[str], found: set[str]) -> Modality:
    is_known = found <= _KNOWN and found & _TOKEN_WORDS
    return _modality(words) if is_known else ""


def _modality(words: list[str]) -> Modality:
    return next((_MODALITIES[word] for word in words if word in _MODALITIES), "")


def _lifetime_joined(words: list[str]) -> list[str]:
    """Join ``5``, ``m`` to ``5m``, as some gateways spell the lifetime of a cache write."""
    joined: list[str] = []
    for word in words:
        if word in ("m", "h") and joined and joined[-1] in ("5", "1"):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _role(words: list[str], found: set[str], tier: str) -> NameRole | None:
    modality = _modality(words)
    side = _side(words)
    known = found <= _KNOWN
    if found & _CACHE or "ephemeral" in found:
        if known and not found & _OUTPUT:
            return _cached(found, modality, tier)
        return Role("input", "other", modality, tier) if side == "input" else None
    if side is None and known:
        if found & (_REASONING | _PREDICTION):
            side = "output"
        elif "tool" in found and found & _TOKEN_WORDS:
            side = "input"
        elif "total" in found and not modality:
            return Total(tier)
    if side is None:
        return None
    if not known:
        return Role(side, "other", modality, tier) if found & _TOKEN_WORDS else None
    return _of_side(side, found, modality, tier)


def _side(words: list[str]) -> Side | None:
    """Return the side that the first word for one names."""
    for word in words:
        if word in _INPUT:
            return "input"
        if word in _OUTPUT:
            return "output"
    return None


def _cached(found: set[str], modality: Modality, tier: str) -> Role:
    if found & _FRESH:
        return Role("input", "rest", modality, tier)
    if found & _WRITE or "ephemeral" in found:
        if "5m" in found:
            return Role("input", "cache_write_5m", modality, tier)
        if "1h" in found:
            return Role("input", "cache_write_1h", modality, tier)
        return Role("input", "cache_write", modality, tier)
    return Role("input", "cache_read", modality, tier)


def _of_side(side: Side, found: set[str], modality: Modality, tier: str) -> Role:
    if found & _FRESH:
        return Role(side, "rest", modality, tier)
    if side == "output" and found & _REASONING:
        return Role(side, "reasoning", modality, tier)
    if side == "output" and found & _PREDICTION:
        return Role(side, "prediction", modality, tier)
    if side == "input" and "tool" in found:
        return Role(side, "tool", modality, tier)
    if modality:
        return Role(side, "modality", modality, tier)
    return Role(side, "rest" if tier else "sum", modality, tier)


_KNOWN: Final = (
    _INPUT | _OUTPUT | _CACHE | _WRITE | _FRESH | _REASONING | _PREDICTION | _TIERS | _NOISE
) | {*_MODALITIES, "tool", "5m", "1h"}
"""Words with a meaning here; a name with any other word is a type of its own."""
