"""Define the sources of field values, of which the mapping tables consist.

A table maps each field to a tuple of sources in order of precedence. A source is bound once for
each shape (the attribute keys and the dialect of a span). It returns a reader if spans of the shape
can have the value, so that reading a span skips all other sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

from producers.gateway.mapping.origin import Dialect, normalise_environment
from producers.gateway.mapping.values import attribute_text, decoded
from producers.gateway.otlp import AttributeValue, ExportedSpan


class Reader(NamedTuple):
    """Read a value from spans of one shape; if it returns ``None``, the next reader is used."""

    key: str
    """The attribute that is read; empty if the argument of ``read`` is the span."""
    read: Callable[[Any], Any] | None
    """Function from the attribute (or span) to the value; ``None`` means ``attribute_text``."""
    needs: tuple[str, ...] | None = None
    """The attributes that determine the value; ``None`` if it depends on more than attributes."""


Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Attribute keys below a prefix, each with the part after the prefix."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties of a span that select its readers."""

    dialect: Dialect
    keys: tuple[str, ...]
    """Attribute keys in the order of the span."""
    has_events: bool = False
    has_status: bool = False

    def has_any(self, keys: tuple[str, ...]) -> bool:
        return any(key in self.keys for key in keys)


class Source(Protocol):
    """A possible source of the value of a field."""

    def bind(self, shape: Shape) -> Reader | None:
        """Return the reader for spans of a shape; ``None`` if they cannot have the value."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Convert one attribute."""

    key: str
    convert: Callable[[AttributeValue], Any] = attribute_text

    def bind(self, shape: Shape) -> Reader | None:
        if self.key not in shape.keys:
            return None
        convert = None if self.convert is attribute_text else self.convert
        return Reader(self.key, convert, (self.key,))


@dataclass(frozen=True, slots=True)
class Choice:
    """Translate one attribute by a table, first exactly, then in lower case."""

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
    """Return a constant if any of the attributes is present."""

    keys: tuple[str, ...]
    value: Any

    def bind(self, shape: Shape) -> Reader | None:
        return Always(self.value).bind(shape) if shape.has_any(self.keys) else None


@dataclass(frozen=True, slots=True)
class Always:
    """Return a constant."""

    value: Any

    def bind(self, _shape: Shape) -> Reader | None:
        return Reader("", lambda _span: self.value, ())


@dataclass(frozen=True, slots=True)
class Computed:
    """Call ``read`` with spans that have one of ``keys``; with all spans if there are no keys."""

    keys: tuple[str, ...]
    read: Callable[[ExportedSpan], Any]

    def bind(self, shape: Shape) -> Reader | None:
        return Reader("", self.read) if not self.keys or shape.has_any(self.keys) else None


@dataclass(frozen=True, slots=True)
class Status:
    """Call ``read`` with spans that have a status."""

    read: Callable[[ExportedSpan], Any]

    def bind(self, shape: Shape) -> Reader | None:
        return Reader("", self.read) if shape.has_status else None


@dataclass(frozen=True, slots=True)
class Events:
    """Call ``read`` with spans that have events."""

    read: Callable[[ExportedSpan], Any]

    def bind(self, shape: Shape) -> Reader | None:
        return Reader("", self.read) if shape.has_events else None


def below(prefixes: tuple[str, ...], shape: Shape, excluded: frozenset[str]) -> Pairs:
    """Return the attributes below prefixes, in the order of prefixes, without excluded names."""
    return tuple(
        (key, key[len(prefix) :])
        for prefix in prefixes
        for key in shape.keys
        if key.startswith(prefix) and key[len(prefix) :] not in excluded
    )


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Call ``read`` with the span and its attributes below prefixes; it must not read others."""

    prefixes: tuple[str, ...]
    read: Callable[[ExportedSpan, Pairs], Any]
    excluded: frozenset[str] = frozenset()
    """Names after the prefix that are skipped."""

    def bind(self, shape: Shape) -> Reader | None:
        pairs = below(self.prefixes, shape, self.excluded)
        if not pairs:
            return None
        return Reader("", lambda span: self.read(span, pairs), tuple(key for key, _ in pairs))


@dataclass(frozen=True, slots=True)
class InMetadata:
    """Convert one attribute of the metadata; decode it first in dialects that encode it as JSON."""

    key: str
    convert: Callable[[AttributeValue], Any] = attribute_text

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
    """Read the environment from a key, unless the resource has a key with a lower ``rank``."""

    rank: int
    key: str

    def bind(self, shape: Shape) -> Reader | None:
        if self.key not in shape.keys or shape.dialect.environment_rank < self.rank:
            return None
        return Reader(self.key, _environment_of, (self.key,))


def _environment_of(value: AttributeValue) -> str | None:
    text = attribute_text(value)
    return normalise_environment(text) if text else None


@dataclass(frozen=True, slots=True)
class When:
    """Apply a source only to spans of some dialects."""

    holds: Callable[[Dialect], bool]
    source: Source

    def bind(self, shape: Shape) -> Reader | None:
        return self.source.bind(shape) if self.holds(shape.dialect) else None


def in_scope(name: str, source: Source) -> When:
    return When(lambda dialect: dialect.scope == name, source)
