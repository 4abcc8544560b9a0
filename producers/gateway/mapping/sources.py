"""The vocabulary of the mapping tables: where a field's value may come from.

A table gives each field an ordered tuple of sources. A source is bound once per shape (the attribute keys of a span, and its dialect):
it answers with a reader if the shape offers what it needs, else not at all, so that reading a span asks no source in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from producers.gateway.mapping.origin import Dialect, normalise_environment
from producers.gateway.mapping.values import decoded, text_of
from producers.gateway.otlp import AttributeValue, ExportedSpan


class Reader(NamedTuple):
    """How to read a value from a span of the shape that it was bound to; ``None`` as the answer passes the question on."""

    key: str
    """The attribute that is read; empty if ``read`` wants the span."""
    read: Callable[[Any], Any] | None
    """From the attribute's value (or the span) to the field's; ``None`` stands for ``text_of``, which is worth a short cut."""
    needs: tuple[str, ...] | None = None
    """The attributes that the answer depends on, if on nothing else."""


Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Attribute keys below a prefix, each with what follows the prefix."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What spans that are mapped alike have in common."""

    dialect: Dialect
    keys: tuple[str, ...]
    """Attribute keys in the order of the span."""
    has_events: bool = False
    has_status: bool = False

    def has_any(self, keys: tuple[str, ...]) -> bool:
        return any(key in self.keys for key in keys)


class Source(Protocol):
    """Where a value may come from."""

    def bind(self, shape: Shape) -> Reader | None:
        """The reader for spans of this shape; ``None`` if they cannot have the value."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, converted."""

    key: str
    convert: Callable[[AttributeValue], Any] = text_of

    def bind(self, shape: Shape) -> Reader | None:
        if self.key not in shape.keys:
            return None
        return Reader(self.key, None if self.convert is text_of else self.convert, (self.key,))


@dataclass(frozen=True, slots=True)
class Choice:
    """One attribute whose values stand for others: exactly, or by their lower-case text."""

    key: str
    meanings: Mapping[str, str]

    def bind(self, shape: Shape) -> Reader | None:
        return Reader(self.key, self._meaning, (self.key,)) if self.key in shape.keys else None

    def _meaning(self, value: AttributeValue) -> str | None:
        if not isinstance(value, str):
            return None
        return self.meanings.get(value) or self.meanings.get(value.strip().lower())


@dataclass(frozen=True, slots=True)
class Present:
    """A constant, if any of the attributes is there."""

    keys: tuple[str, ...]
    value: Any

    def bind(self, shape: Shape) -> Reader | None:
        return Always(self.value).bind(shape) if shape.has_any(self.keys) else None


@dataclass(frozen=True, slots=True)
class Always:
    """A constant."""

    value: Any

    def bind(self, _shape: Shape) -> Reader | None:
        return Reader("", lambda _span: self.value, ())


@dataclass(frozen=True, slots=True)
class Computed:
    """Whatever ``read`` makes of a span that has any of the attributes; of every span, if none are named."""

    keys: tuple[str, ...]
    read: Callable[[ExportedSpan], Any]

    def bind(self, shape: Shape) -> Reader | None:
        return Reader("", self.read) if not self.keys or shape.has_any(self.keys) else None


@dataclass(frozen=True, slots=True)
class Status:
    """Whatever ``read`` makes of the status of a span that has one."""

    read: Callable[[ExportedSpan], Any]

    def bind(self, shape: Shape) -> Reader | None:
        return Reader("", self.read) if shape.has_status else None


def below(prefixes: tuple[str, ...], shape: Shape, but: frozenset[str]) -> Pairs:
    """Attributes below prefixes, in their order, without those whose name is excepted."""
    return tuple(
        (key, key[len(prefix) :])
        for prefix in prefixes
        for key in shape.keys
        if key.startswith(prefix) and key[len(prefix) :] not in but
    )


@dataclass(frozen=True, slots=True)
class Prefixed:
    """All attributes below prefixes, given to ``read`` with the span, in the order of the prefixes; it may look at no others."""

    prefixes: tuple[str, ...]
    read: Callable[[ExportedSpan, Pairs], Any]
    but: frozenset[str] = frozenset()
    """What may not follow the prefix."""

    def bind(self, shape: Shape) -> Reader | None:
        pairs = below(self.prefixes, shape, self.but)
        if not pairs:
            return None
        return Reader("", lambda span: self.read(span, pairs), tuple(key for key, _ in pairs))


@dataclass(frozen=True, slots=True)
class InMetadata:
    """One attribute of a metadata map; the dialect says whether it is encoded as JSON."""

    key: str
    convert: Callable[[AttributeValue], Any] = text_of

    def bind(self, shape: Shape) -> Reader | None:
        if self.key not in shape.keys:
            return None
        is_encoded = shape.dialect.json_metadata
        convert = self._decode_and_convert if is_encoded else self.convert
        return Reader(self.key, convert, (self.key,))

    def _decode_and_convert(self, value: AttributeValue) -> Any:
        return self.convert(decoded(value))


@dataclass(frozen=True, slots=True)
class Environment:
    """A key for the environment, unless the resource says it by a key of a higher rank (0 is the highest)."""

    rank: int
    key: str

    def bind(self, shape: Shape) -> Reader | None:
        if self.key not in shape.keys or shape.dialect.environment_rank < self.rank:
            return None
        return Reader(self.key, _environment_of, (self.key,))


def _environment_of(value: AttributeValue) -> str | None:
    text = text_of(value)
    return normalise_environment(text) if text else None


@dataclass(frozen=True, slots=True)
class When:
    """Another source, only for spans of some dialects."""

    holds: Callable[[Dialect], bool]
    source: Source

    def bind(self, shape: Shape) -> Reader | None:
        return self.source.bind(shape) if self.holds(shape.dialect) else None


def in_scope(name: str, source: Source) -> When:
    return When(lambda dialect: dialect.scope == name, source)
