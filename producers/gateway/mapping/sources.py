"""The vocabulary of the mapping tables: where a field's value may come from.

A table gives each field an ordered tuple of sources. A source is bound once per shape (the set of attribute keys of a span, and its dialect):
it answers with a reader if the shape offers what it needs, else not at all, so that reading a span asks no source in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from producers.gateway.mapping.origin import Dialect, normalise_environment
from producers.gateway.mapping.values import decoded, text_of
from producers.gateway.otlp import AttributeValue, ExportedSpan

Reader: TypeAlias = Callable[[ExportedSpan, Any], Any]
"""From a span and the argument that it was bound with, to the value, or ``None``: then the next source is asked."""
Bound: TypeAlias = tuple[Reader, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What spans that are mapped alike have in common."""

    dialect: Dialect
    keys: tuple[str, ...]
    """Attribute keys in the order of the span."""
    has_events: bool = False

    def has_any(self, keys: tuple[str, ...]) -> bool:
        return any(key in self.keys for key in keys)


class Source(Protocol):
    """Where a value may come from."""

    def bind(self, shape: Shape) -> Bound | None:
        """The reader for spans of this shape and its argument; ``None`` if they cannot have the value."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, converted."""

    key: str
    convert: Callable[[AttributeValue], Any] = text_of

    def bind(self, shape: Shape) -> Bound | None:
        if self.key not in shape.keys:
            return None
        if self.convert is text_of:
            return _read_text, self.key
        return _read_converted, (self.key, self.convert)


def _read_text(span: ExportedSpan, key: str) -> str | None:
    value = span.attributes[key]
    return value or None if type(value) is str else text_of(value)


def _read_converted(
    span: ExportedSpan, arguments: tuple[str, Callable[[AttributeValue], Any]]
) -> Any:
    key, convert = arguments
    return convert(span.attributes[key])


@dataclass(frozen=True, slots=True)
class Choice:
    """One attribute whose values stand for others: exactly, or by their lower-case text."""

    key: str
    meanings: Mapping[str, str]

    def bind(self, shape: Shape) -> Bound | None:
        return (_read_choice, (self.key, self.meanings)) if self.key in shape.keys else None


def _read_choice(span: ExportedSpan, arguments: tuple[str, Mapping[str, str]]) -> str | None:
    key, meanings = arguments
    value = span.attributes[key]
    if type(value) is not str:
        return None
    return meanings.get(value) or meanings.get(value.strip().lower())


@dataclass(frozen=True, slots=True)
class Present:
    """A constant, if any of the attributes is there."""

    keys: tuple[str, ...]
    value: Any

    def bind(self, shape: Shape) -> Bound | None:
        return (_read_constant, self.value) if shape.has_any(self.keys) else None


def _read_constant(_span: ExportedSpan, value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Computed:
    """Whatever ``read`` makes of a span that has any of the attributes."""

    keys: tuple[str, ...]
    read: Callable[[ExportedSpan], Any]

    def bind(self, shape: Shape) -> Bound | None:
        return (_compute, self.read) if not self.keys or shape.has_any(self.keys) else None


def _compute(span: ExportedSpan, read: Callable[[ExportedSpan], Any]) -> Any:
    return read(span)


@dataclass(frozen=True, slots=True)
class Prefixed:
    """All attributes below prefixes: ``read`` gets the span and pairs of (key, what follows the prefix), in the order of the prefixes."""

    prefixes: tuple[str, ...]
    read: Callable[[ExportedSpan, tuple[tuple[str, str], ...]], Any]
    but: frozenset[str] = frozenset()
    """What may not follow the prefix."""

    def bind(self, shape: Shape) -> Bound | None:
        pairs = tuple(
            (key, key[len(prefix) :])
            for prefix in self.prefixes
            for key in shape.keys
            if key.startswith(prefix) and key[len(prefix) :] not in self.but
        )
        return (self.read, pairs) if pairs else None


@dataclass(frozen=True, slots=True)
class When:
    """Other sources, only for spans of a dialect."""

    holds: Callable[[Dialect], bool]
    source: Source

    def bind(self, shape: Shape) -> Bound | None:
        return self.source.bind(shape) if self.holds(shape.dialect) else None


def in_scope(name: str, source: Source) -> When:
    return When(lambda dialect: dialect.scope == name, source)


@dataclass(frozen=True, slots=True)
class Unless:
    """Another source, unless an attribute has one of the values."""

    key: str
    values: frozenset[str]
    source: Source

    def bind(self, shape: Shape) -> Bound | None:
        bound = self.source.bind(shape)
        if bound is None or self.key not in shape.keys:
            return bound
        return _read_unless, (self.key, self.values, *bound)


def _read_unless(span: ExportedSpan, arguments: tuple[str, frozenset[str], Reader, Any]) -> Any:
    key, values, read, argument = arguments
    value = span.attributes[key]
    if isinstance(value, str) and value in values:
        return None
    return read(span, argument)


@dataclass(frozen=True, slots=True)
class InMetadata:
    """One attribute of a metadata map, as text; the dialect says whether it is encoded as JSON."""

    key: str
    convert: Callable[[AttributeValue], Any] = text_of

    def bind(self, shape: Shape) -> Bound | None:
        if self.key not in shape.keys:
            return None
        read = _read_encoded if shape.dialect.json_metadata else _read_converted
        return read, (self.key, self.convert)


def _read_encoded(
    span: ExportedSpan, arguments: tuple[str, Callable[[AttributeValue], Any]]
) -> Any:
    key, convert = arguments
    return convert(decoded(span.attributes[key]))


@dataclass(frozen=True, slots=True)
class Environment:
    """A key for the environment, unless the resource says it by a key of a higher rank (0 is the highest)."""

    rank: int
    key: str

    def bind(self, shape: Shape) -> Bound | None:
        if self.key not in shape.keys or shape.dialect.environment_rank < self.rank:
            return None
        return _read_environment, self.key


def _read_environment(span: ExportedSpan, key: str) -> str | None:
    text = text_of(span.attributes[key])
    return normalise_environment(text) if text else None
