"""Messages that were flattened into attributes: ``gen_ai.prompt.0.content`` … put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from producers import metrics
from producers.gateway.mapping.sources import Reader, Shape
from producers.gateway.mapping.values import encode_json, text_of
from producers.gateway.otlp import AttributeValue, ExportedSpan

ARRAY_SLOTS_MAX: Final = 10_001
"""Slots of all arrays of one value: an index is the sender's to choose, and a list is as long as its highest."""
PATH_LENGTH_MAX: Final = 32

_Path: TypeAlias = tuple[str | int, ...]
_Paths: TypeAlias = tuple[tuple[str, _Path], ...]


class _Node(dict[str | int, Any]):
    """An object or array in the making; told from a value that happens to be a dict."""


@dataclass(frozen=True, slots=True)
class Flattened:
    """Input and output below a prefix each."""

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
        return text_of(attributes[paths[0][0]])
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
    return encode_json(_listed(root)).decode()


def _listed(value: Any) -> Any:
    """Nodes whose keys are all indexes become lists."""
    if not isinstance(value, _Node):
        return value
    built = {key: _listed(inner) for key, inner in value.items()}
    indexed = {key: inner for key, inner in built.items() if isinstance(key, int)}
    if len(indexed) < len(built):
        return {str(key): inner for key, inner in built.items()}
    return [indexed.get(index) for index in range(max(indexed, default=-1) + 1)]


def _paths_below(prefix: str, keys: tuple[str, ...]) -> _Paths:
    """The keys below a prefix and their paths, as far as the arrays they ask for stay within ``ARRAY_SLOTS_MAX``.

    An attribute that is called as the prefix itself holds the whole value: then its path, an empty one, is the only one.
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
            path[:place]: max(part + 1, lengths.get(path[:place], 0))
            for place, part in enumerate(path)
            if isinstance(part, int)
        }
        more_slots = sum(length - lengths.get(place, 0) for place, length in wanted.items())
        if slots + more_slots <= ARRAY_SLOTS_MAX:
            slots += more_slots
            lengths.update(wanted)
            paths.append((key, path))
        else:
            metrics.LIMIT_REACHED.labels(limit="array_slots_max").inc()
    return tuple(paths)


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 6
