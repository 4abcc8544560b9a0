"""Rebuild messages from flattened attributes like ``gen_ai.prompt.0.content``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from producers import metrics
from producers.gateway.mapping.sources import Reader, Shape
from producers.gateway.mapping.values import attribute_text, encode_json
from producers.gateway.otlp import AttributeValue, ExportedSpan

ARRAY_SLOTS_MAX: Final = 10_001
"""Maximum total length of the arrays of a value; the highest index sets the length of an array."""
PATH_LENGTH_MAX: Final = 32

_Path: TypeAlias = tuple[str | int, ...]
_Paths: TypeAlias = tuple[tuple[str, _Path], ...]


class _Node(dict[str | int, Any]):
    """An object or array that is being built, in contrast to a dict that is an attribute value."""


@dataclass(frozen=True, slots=True)
class Flattened:
    """Read input and output from the attributes below two prefixes."""

    input_prefix: str
    output_prefix: str

    def bind(self, shape: Shape) -> Reader | None:
        inputs = _paths_below(self.input_prefix, shape.keys)
        outputs = _paths_below(self.output_prefix, shape.keys)
        if not inputs and not outputs:
            return None

        def read(span: ExportedSpan) -> tuple[str | None, str | None] | None:
            found = _text(span.attributes, inputs), _text(span.attributes, outputs)
            return None if found == (None, None) else found

        return Reader("", read)


def _text(attributes: dict[str, AttributeValue], paths: _Paths) -> str | None:
    if not paths:
        return None
    if not paths[0][1]:
        return attribute_text(attributes[paths[0][0]])
    root = _Node()
    for key, path in paths:
        node = root
        for part in path[:-1]:
            inner = node.setdefault(part, _Node())
            if not isinstance(inner, _Node):
                break
            node = inner
        else:
            if not isinstance(node.get(path[-1]), _Node):
                node[path[-1]] = attributes[key]
    return encode_json(_with_lists(root)).decode()


def _with_lists(value: Any) -> Any:
    """Convert nodes whose keys are all indexes to lists."""
    if not isinstance(value, _Node):
        return value
    built = {key: _with_lists(inner) for key, inner in value.items()}
    indexed = {key: inner for key, inner in built.items() if isinstance(key, int)}
    if len(indexed) < len(built):
        return {str(key): inner for key, inner in built.items()}
    return [indexed.get(index) for index in range(max(indexed, default=-1) + 1)]


def _paths_below(prefix: str, keys: tuple[str, ...]) -> _Paths:
    """Return the keys below a prefix with their paths, except those above ``ARRAY_SLOTS_MAX``.

    If an attribute has the prefix itself as key, it is the whole value: it alone is returned, with
    an empty path.
    """
    if prefix in keys:
        return ((prefix, ()),)
    below = f"{prefix}."
    lengths: dict[_Path, int] = {}
    slots = 0
    paths = []
    for key in keys:
        if not key.startswith(below):
            continue
        parts = key[len(below) :].split(".", PATH_LENGTH_MAX)
        path = tuple(int(part) if _is_index(part) else part for part in parts)
        wanted = {
            path[:depth]: max(part + 1, lengths.get(path[:depth], 0))
            for depth, part in enumerate(path)
            if isinstance(part, int)
        }
        more_slots = sum(length - lengths.get(array, 0) for array, length in wanted.items())
        if slots + more_slots <= ARRAY_SLOTS_MAX:
            slots += more_slots
            lengths.update(wanted)
            paths.append((key, path))
        else:
            metrics.LIMIT_REACHED.labels(limit="array_slots_max").inc()
    return tuple(paths)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 6
