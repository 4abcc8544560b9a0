"""Give templates the shapes of the API, in which members without a value can be absent."""

from __future__ import annotations

from typing import Any

import msgspec


class Optional(dict[str, Any]):
    """An object of which absent members are None."""

    def __missing__(self, _: str) -> None:
        return None


def optional(shape: Any) -> Any:
    """Return a shape as plain values whose objects are ``Optional``."""
    # By JSON, because shapes contain parts that are JSON already.
    return _converted(msgspec.json.decode(msgspec.json.encode(shape)))


def _converted(value: Any) -> Any:
    if isinstance(value, dict):
        return Optional({name: _converted(each) for name, each in value.items()})
    if isinstance(value, list | tuple):
        return [_converted(each) for each in value]
    return value
