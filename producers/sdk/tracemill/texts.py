"""Convert objects of the application to texts of limited length; no function here raises."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

NODES_MAX: Final = 20_000
"""Maximum number of nested values of an encoded object; of a larger one, type and size are kept."""

_CUT: Final = "… [{} characters cut]"


def to_text(value: Any, limit: int) -> str | None:
    """Return a string itself, and other values as JSON or else as their ``repr``.

    Texts longer than ``limit`` characters are cut. An object whose ``repr`` raises an exception is
    replaced by the name of its type.
    """
    if value is None:
        return None
    if type(value) is str:
        return value if len(value) <= limit else cut(value, limit)
    try:
        return cut(_json_of(value), limit)
    except Exception:  # noqa: BLE001 - an application's objects may raise anything
        return cut(_repr_of(value), limit)


def to_object_text(value: Any, limit: int) -> str | None:
    """Return a mapping as a JSON object; other values become ``{"metadata": value}``.

    JSON longer than ``limit`` characters is replaced by ``{"cut": …}`` with its beginning.
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
    """Cut a text after ``limit`` characters, and append how many were cut."""
    if len(text) <= limit:
        return text
    return text[:limit] + _CUT.format(len(text) - limit)


def to_short_text(value: Any) -> str | None:
    """Return a value as the text of a name, an id or a version; ``None`` stays ``None``."""
    if value is None or type(value) is str:
        return value
    return cut(value if isinstance(value, str) else _repr_of(value), 1_000)


def _json_of(value: Any) -> str:
    nodes, has_infinite = _survey(value)
    if nodes > NODES_MAX:
        return f"<{type(value).__name__} of {len(value)} parts>"
    if isinstance(value, str):
        return str(value)
    return _encoder.encode(_with_names(value) if has_infinite else value).decode()


def _survey(value: Any) -> tuple[int, bool]:
    """Return the number of nested values, and whether there are infinite floats or NaN.

    At most ``NODES_MAX`` values are visited.
    """
    waiting, seen, has_infinite = [value], 0, False
    while waiting:
        node = waiting.pop()
        if type(node) is float:
            has_infinite |= not math.isfinite(node)
        elif isinstance(node, dict):
            seen += len(node)
            if seen <= NODES_MAX:
                waiting.extend(node.values())
        elif isinstance(node, list | tuple | set | frozenset):
            seen += len(node)
            if seen <= NODES_MAX:
                waiting.extend(node)
        if seen > NODES_MAX:
            break
    return seen, has_infinite


def _with_names(value: Any) -> Any:
    """Replace floats that JSON cannot represent, and that would become null, by their names."""
    if type(value) is float and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _with_names(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_with_names(each) for each in value]
    return value


def _to_encodable(value: Any) -> Any:
    """Convert an object that msgspec cannot encode."""
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


_encoder: Final = msgspec.json.Encoder(enc_hook=_to_encodable)
