"""Read marks of application caches, and classes of errors, from spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from producers.gateway.mapping.sources import Reader, Shape
from producers.gateway.mapping.values import attribute_text, decoded, object_of
from producers.gateway.otlp import ExportedSpan
from tracemill.contract import AppCache
from tracemill.marks import CACHE_NAMES, cache_mark_in, error_type_of

_PREFIXES: Final = (
    "",
    "langfuse.observation.metadata.",
    "langfuse.metadata.",
    "metadata.",
    "ai.telemetry.metadata.",
    "langsmith.metadata.",
    "traceloop.association.properties.",
    "gen_ai.",
    "llm.",
)
"""Prefixes of attributes in order of precedence."""
_OBJECTS: Final = (
    "langfuse.observation.metadata",
    "langfuse.metadata",
    "metadata",
    "ai.telemetry.metadata",
)
"""Attributes with metadata as JSON; ``metadata`` is that of OpenInference."""
_WORD: Final = "cache"


@dataclass(frozen=True, slots=True)
class CacheMark:
    """How a cache of the application answered, by the attributes and metadata of a span."""

    def bind(self, shape: Shape) -> Reader | None:
        keys = set(shape.keys)
        marks = tuple(
            (name, prefix + name)
            for prefix in reversed(_PREFIXES)
            for name in CACHE_NAMES
            if prefix + name in keys
        )
        objects = tuple(key for key in reversed(_OBJECTS) if key in keys)
        if not marks and not objects:
            return None

        def read(span: ExportedSpan) -> AppCache | None:
            found: dict[str, Any] = {}
            for whole in objects:
                value = span.attributes[whole]
                if not isinstance(value, str) or _WORD in value:
                    found |= object_of(value) or {}
            for name, key in marks:
                found[name] = decoded(span.attributes[key])
            return cache_mark_in(found) if found else None

        return Reader("", read)


def error_type_of_events(span: ExportedSpan) -> str | None:
    """Return the class of the last exception event."""
    for event in reversed(span.events):
        name = attribute_text(event.attributes.get("exception.type"))
        if name:
            return class_name_of(name)
    return None


def error_type_of_status(span: ExportedSpan) -> str | None:
    """Return the class of the error from the message of the status."""
    return error_type_of(span.status_message)


def error_type_of_langfuse(span: ExportedSpan) -> str | None:
    """Return the class of the error from the status message of Langfuse's SDKs."""
    return error_type_of(span.attributes.get("langfuse.observation.status_message"))


def class_name_of(value: Any) -> str | None:
    """Return the name of a class without its module."""
    name = attribute_text(value)
    return name.rpartition(".")[2] or None if name else None
