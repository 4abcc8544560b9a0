"""Read usage from one attribute per count.

These are ``gen_ai.usage.*`` (OpenTelemetry GenAI) and ``llm.token_count.*`` (OpenInference).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from producers.gateway.mapping.sources import Reader, Shape, Source, below
from producers.gateway.mapping.types import MODEL_KEYS
from producers.gateway.values.usage import TYPES_MAX, count_of
from tracemill.reconciliation.plain import UsageReader


@dataclass(frozen=True, slots=True)
class Counts:
    """Read all counts below prefixes, in the meaning that the span's scope gives them."""

    prefixes: tuple[str, ...]
    excluded: frozenset[str]

    def bind(self, shape: Shape) -> Reader | None:
        names: dict[str, str] = {}
        for key, name in below(self.prefixes, shape, self.excluded):
            names.setdefault(_BROKEN_DOWN.get(name, name), key)
        if not names:
            return None
        keys = [(key, name) for name, key in names.items()][:TYPES_MAX]
        reader = UsageReader(keys, shape.dialect.usage, count_of)
        return Reader("", lambda span: reader.read(span.attributes))


@dataclass(frozen=True, slots=True)
class CountsByHand:
    """Read counts that an application names itself, of spans that name a model."""

    def bind(self, shape: Shape) -> Reader | None:
        if not shape.has_any(MODEL_KEYS):
            return None
        keys = [(key, name) for key, name in _BY_HAND if key in shape.keys]
        if not keys:
            return None
        reader = UsageReader(keys, shape.dialect.usage, count_of)
        return Reader("", lambda span: reader.read(span.attributes))


@dataclass(frozen=True, slots=True)
class OfModels:
    """Apply a source to spans that name a model."""

    source: Source

    def bind(self, shape: Shape) -> Reader | None:
        return self.source.bind(shape) if shape.has_any(MODEL_KEYS) else None


_BY_HAND: Final = (
    *(
        (f"{prefix}{name}", name)
        for prefix in (
            *("llm.", "llm.tokens.", "llm.token.counts.", "tokens.", "usage.", "token.usage."),
            *("gen_ai.response.", "gen_ai.", ""),
        )
        for name in (
            *("input_tokens", "output_tokens", "total_tokens", "prompt_tokens"),
            *("completion_tokens", "cached_tokens", "cached_prompt_tokens", "reasoning_tokens"),
            *("cache_read_tokens", "cache_creation_tokens", "cache_write_tokens"),
            *("cache_read_input_tokens", "cache_creation_input_tokens"),
            *("input", "output", "total", "prompt", "completion"),
        )
        # Below these, "input" and "output" are texts.
        if prefix not in ("", "llm.", "usage.", "gen_ai.", "gen_ai.response.")
        or name.endswith("_tokens")
    ),
    ("ai.prompt_tokens.used", "prompt_tokens"),
    ("ai.completion_tokens.used", "completion_tokens"),
    ("ai.total_tokens.used", "total_tokens"),
)
"""Attributes of tutorials, of code without an instrumentation, and of instrumentations with names
of their own (Claude Code, Semantic Kernel, Sentry), with the name of the count."""
_BROKEN_DOWN: Final = {"prompt": "prompt_tokens", "completion": "completion_tokens"}
"""OpenInference's names of the sums, of which ``prompt_details.*`` are parts."""
