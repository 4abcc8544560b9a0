"""Read usage from one attribute per count.

These are ``gen_ai.usage.*`` (OpenTelemetry GenAI) and ``llm.token_count.*`` (OpenInference).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from producers.bounded_cache import BoundedCache, size_of
from producers.gateway.mapping.sources import Pairs
from producers.gateway.values.usage import TYPES_MAX, count_of
from tracemill.contract import COUNT_MAX

_Bucket = TypeVar("_Bucket")

_SUMS: Final = {
    "input": ("prompt_tokens", "input_tokens", "prompt"),
    "output": ("completion_tokens", "output_tokens", "completion"),
    "total": ("total_tokens", "total"),
}
_PARTS: Final = {
    ("input", "input_cached_tokens"): [
        "cache_read.input_tokens",
        "cache_read_input_tokens",
        "cache_read_tokens",
        "details.cache_read_tokens",
        "details.cache_read_input_tokens",
        "prompt_details.cache_read",
        "prompt_details.cache_input",
        "input_cached_tokens",
    ],
    ("input", "input_cache_creation"): [
        "cache_creation.input_tokens",
        "cache_creation_input_tokens",
        "cache_write_tokens",
        "details.cache_write_tokens",
        "details.cache_creation_input_tokens",
        "prompt_details.cache_write",
        "input_cache_creation",
    ],
    ("input", "input_audio_tokens"): ["prompt_details.audio", "input_audio_tokens"],
    ("output", "output_reasoning_tokens"): [
        "reasoning.output_tokens",
        "completion_details.reasoning",
        "reasoning_tokens",
        "details.reasoning_tokens",
        "details.thoughts_tokens",
        "output_reasoning_tokens",
    ],
    ("output", "output_audio_tokens"): ["completion_details.audio", "output_audio_tokens"],
}
"""Names of a count in order of preference, by (the sum that includes it, its bucket)."""
_KNOWN: Final = frozenset(name for names in (*_SUMS.values(), *_PARTS.values()) for name in names)


class TokenCounts:
    """Reads the counts of a fixed set of attributes into buckets that do not overlap.

    Sums include their parts in these conventions: cached tokens and cache writes are subtracted
    from ``input``, reasoning and audio from ``output``, down to zero. Other counts are kept without
    a leading ``details.``; token counts below ``details.`` are dropped, as they break down the
    sums a second time.
    """

    def __init__(self, pairs: Pairs) -> None:
        key_of: dict[str, str] = {}
        for key, name in pairs:
            key_of.setdefault(name, key)
        self._sums = _present(_SUMS.items(), key_of)
        self._parts = _present(_PARTS.items(), key_of)
        self._others = [
            (name.removeprefix("details."), key)
            for name, key in key_of.items()
            if name not in _KNOWN and not _is_breakdown(name)
        ][:TYPES_MAX]

    def read(self, attributes: Mapping[str, Any]) -> dict[str, int]:
        found: dict[str, int] = {}
        for bucket, keys in self._sums:
            for key in keys:
                value = attributes[key]
                count = value if type(value) is int and 0 <= value <= COUNT_MAX else count_of(value)
                if count is not None:
                    found[bucket] = count
                    break
        for (side, bucket), keys in self._parts:
            for key in keys:
                count = count_of(attributes[key])
                if count is not None:
                    found[bucket] = count
                    if side in found:
                        found[side] = max(found[side] - count, 0)
                    break
        for bucket, key in self._others:
            count = count_of(attributes[key])
            if count is not None:
                found.setdefault(bucket, count)
        return found


def token_counts(raw: Mapping[str, int]) -> dict[str, int]:
    """Return the buckets of counts that are named like the attributes without their prefixes."""
    names = tuple(raw)
    reader = _readers.get(names)
    if reader is None:
        reader = TokenCounts(tuple((name, name) for name in names))
        _readers.keep(names, reader, _READER_COPIES * size_of(names))
    return reader.read(raw)


_readers: BoundedCache[tuple[str, ...], TokenCounts] = BoundedCache(
    "cached_token_readers_max_bytes", 2 * 1024 * 1024
)
_READER_COPIES: Final = 4
"""Size of a cached reader as a multiple of the size of its names."""


def _present(
    table: Iterable[tuple[_Bucket, Iterable[str]]], key_of: dict[str, str]
) -> list[tuple[_Bucket, tuple[str, ...]]]:
    """Reduce a table to the names that there are attributes for."""
    found = ((b, tuple(key_of[name] for name in names if name in key_of)) for b, names in table)
    return [(bucket, keys) for bucket, keys in found if keys]


def _is_breakdown(name: str) -> bool:
    return name.startswith("details.") and name.endswith("_tokens")
