"""Collect the metadata of an observation and of its trace as JSON objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from producers.gateway.mapping.io_sources import is_io_key
from producers.gateway.mapping.origin import Dialect, OriginFacts
from producers.gateway.mapping.sources import Reader, Shape
from producers.gateway.mapping.values import decoded, encode_json, object_of
from producers.gateway.otlp import AttributeValue, ExportedSpan

_OBSERVATION: Final = "langfuse.observation.metadata"
_TRACE: Final = "langfuse.trace.metadata"
_SHARED: Final = ("langfuse.metadata", "ai.telemetry.metadata")
_OTHER: Final = "metadata"
_EXPERIMENT: Final = "langfuse.experiment."
_FRACTION_LENGTH_MAX: Final = 25
_CONSTANTS: Final[Mapping[str, AttributeValue]] = MappingProxyType(
    {"null": None, "true": True, "false": False}
)
_MAPPED_TO_FIELDS: Final = frozenset(
    f"ai.telemetry.metadata.{name}" for name in ("userId", "sessionId", "tags", "langfusePrompt")
)


@dataclass(frozen=True, slots=True)
class MetadataPlan:
    """The attributes of a ``Shape`` that are metadata, and their names in the metadata."""

    whole: tuple[str, ...]
    """Keys of whole metadata; the last one that is not empty is used."""
    entries: tuple[tuple[str, str], ...]
    """Pairs of a key and its name in the metadata."""
    experiment: tuple[str, ...]
    """Keys that are also the names in the metadata."""
    others: tuple[str, ...]
    """Keys that no other rule maps, stored under ``attributes``."""
    read: Callable[[AttributeValue], AttributeValue]
    """Function that converts the attribute of an entry to its value."""


def observation_metadata_plan(shape: Shape) -> MetadataPlan:
    whole, entries = _below(shape, (*_SHARED, _OBSERVATION))
    others: tuple[str, ...] = ()
    if not shape.dialect.is_langfuse:
        others = tuple(key for key in shape.keys if not _is_mapped(key))
    return MetadataPlan(
        whole=whole,
        entries=entries,
        experiment=tuple(key for key in shape.keys if key.startswith(_EXPERIMENT)),
        others=others,
        read=_reader_for(shape.dialect),
    )


def _reader_for(dialect: Dialect) -> Callable[[AttributeValue], AttributeValue]:
    if dialect.json_metadata:
        return decoded
    return _decode_langfuse if dialect.is_langfuse else _decode_nested


@dataclass(frozen=True, slots=True)
class TraceMetadata:
    """Read metadata of the trace from a span; for a root span, also the span's own metadata."""

    of_root: bool = False

    def bind(self, shape: Shape) -> Reader | None:
        prefixes = (*_SHARED, _OBSERVATION, _TRACE) if self.of_root else (*_SHARED, _TRACE)
        whole, entries = _below(shape, prefixes)
        if not whole and not entries:
            return None
        plan = MetadataPlan(whole, entries, (), (), _reader_for(shape.dialect))

        def read(span: ExportedSpan) -> str | None:
            found = _own_metadata(span.attributes, plan)
            return encode_json(found).decode() if found else None

        return Reader("", read, (*whole, *(key for key, _ in entries)))


def observation_metadata(span: ExportedSpan, plan: MetadataPlan, facts: OriginFacts) -> str:
    """Return the metadata of a span, its resource and its scope; for equal names, the span's.

    It includes the attributes that are not mapped to any field.
    """
    attributes = span.attributes
    found = _own_metadata(attributes, plan) if plan.whole or plan.entries else {}
    for key in plan.experiment:
        found.setdefault(key, attributes[key])
    if plan.others:
        found.setdefault("attributes", {key: attributes[key] for key in plan.others})
    if not found:
        return facts.metadata_text
    if "scope" in found or "resourceAttributes" in found:
        return encode_json(facts.metadata | found).decode()
    # Both are objects without common names; joining the texts avoids encoding the constant part.
    return f"{encode_json(found).decode()[:-1]},{facts.metadata_text[1:]}"


def _own_metadata(attributes: dict[str, AttributeValue], plan: MetadataPlan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in plan.whole:
        found = _whole(attributes[key], plan.read) or found
    for key, name in plan.entries:
        found[name] = plan.read(attributes[key])
    return found


def _whole(
    value: AttributeValue, read: Callable[[AttributeValue], AttributeValue]
) -> dict[str, Any]:
    """Return metadata that are one value; that which is no object is the member ``metadata``."""
    found = object_of(value)
    if found:
        return found
    other = read(value)
    return {} if other is None or other in ("", {}) else {_OTHER: other}


def _decode_nested(value: AttributeValue) -> AttributeValue:
    """Decode a text that looks like a JSON object or array; return other values unchanged."""
    return decoded(value) if type(value) is str and value[:1] in ("{", "[") else value


def _decode_langfuse(value: AttributeValue) -> AttributeValue:
    """Decode a value of a Langfuse SDK, which encodes all but str, int and bool as JSON.

    A text is decoded as a fraction only if the SDK would encode the fraction as the same text.
    """
    if type(value) is not str or not value:
        return value
    if value in _CONSTANTS:
        return _CONSTANTS[value]
    if value[0] in "-0123456789" and "." in value and len(value) <= _FRACTION_LENGTH_MAX:
        try:
            number = float(value)
        except ValueError:
            return value
        return number if repr(number) == value else value
    return _decode_nested(value)


def _below(
    shape: Shape, prefixes: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the keys of whole objects, and pairs (key, name) of entries, by prefix.

    Of several entries with the same name, the last one is used.
    """
    whole = tuple(prefix for prefix in prefixes if prefix in shape.keys)
    entries = tuple(
        (key, key[len(prefix) + 1 :])
        for prefix in prefixes
        for key in shape.keys
        if key.startswith(f"{prefix}.") and len(key) > len(prefix) + 1
    )
    return whole, tuple(pair for pair in entries if pair[0] not in _MAPPED_TO_FIELDS)


def _is_mapped(key: str) -> bool:
    return is_io_key(key) or key.startswith((_OBSERVATION, _TRACE, _EXPERIMENT, *_SHARED))
