"""Texts of an application's objects: as they are at this moment, bounded, and whatever happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import msgspec

NODES_MAX: Final = 20_000
"""A nested value of more parts is not walked through: it is represented by its kind and size."""

_CUT: Final = "… [{} characters cut]"


def text_of(value: Any, limit: int) -> str | None:
    """A string as it is, anything else as JSON, what cannot be JSON as its ``repr``; at most about ``limit`` characters.

    Never raises: an object that cannot even be printed is named by its type.
    """
    if value is None:
        return None
    if type(value) is str:
        return value if len(value) <= limit else cut(value, limit)
    try:
        return cut(_json_of(value), limit)
    except Exception:  # noqa: BLE001 - objects of strangers may raise anything
        return cut(_repr_of(value), limit)


def object_text_of(value: Any, limit: int) -> str | None:
    """The JSON text of an object: of ``value`` if it is a mapping, else of an object that holds it.

    An object that is too long keeps its shape: its text is held, cut, under ``cut``.
    """
    if value is None:
        return None
    held = value if isinstance(value, Mapping) else {"metadata": value}
    try:
        text = _json_of(held)
    except Exception:  # noqa: BLE001 - as above
        text = _json_of({"repr": cut(_repr_of(value), limit)})
    if len(text) <= limit:
        return text
    return _json_of({"cut": cut(text, limit)})


def cut(text: str, limit: int) -> str:
    """``text``, or its first ``limit`` characters and a note of what is missing."""
    if len(text) <= limit:
        return text
    return text[:limit] + _CUT.format(len(text) - limit)


def word_of(value: Any) -> str | None:
    """A short text: names, ids, versions."""
    if value is None or type(value) is str:
        return value
    return cut(value if isinstance(value, str) else _repr_of(value), 1_000)


def _json_of(value: Any) -> str:
    if _is_vast(value):
        return f"<{type(value).__name__} of {len(value)} parts>"
    if isinstance(value, str):
        return str(value)
    return _encoder.encode(value).decode()


def _is_vast(value: Any) -> bool:
    """Whether a container holds more than ``NODES_MAX`` values, counted without looking at more than that."""
    waiting, seen = [value], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            seen += len(node)
            if seen <= NODES_MAX:
                waiting.extend(node.values())
        elif isinstance(node, list | tuple | set | frozenset):
            seen += len(node)
            if seen <= NODES_MAX:
                waiting.extend(node)
        if seen > NODES_MAX:
            return True
    return False


def _known_as(value: Any) -> Any:
    """What stands for an object that JSON has no form for."""
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _repr_of(value)


def _repr_of(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__name__} that cannot be printed>"


_encoder: Final = msgspec.json.Encoder(enc_hook=_known_as)
