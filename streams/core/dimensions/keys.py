"""Compute the keys of window and spend cells from observations, deltas and rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from producers.dimensions.arrays import texts_of
from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import SPEND_KEY, WINDOW_KEY
from streams.core.dimensions.compiling import compiled, tuple_of
from streams.core.dimensions.sources import (
    SPEND_DIMENSIONS,
    WINDOW_DIMENSIONS,
    TraceValues,
    own_value,
    value,
)

CellKey = tuple[str, ...]
"""Values of the dimensions of windows, or of spend, in the order of the registry."""
StartedKey = tuple[Any, ...]
"""The start of a cell, followed by its ``CellKey``."""
Scope = tuple[str | None, ...]
"""A ``CellKey`` of spend; None matches any value."""
Shape = tuple[bool, ...]
"""Whether each value of a scope is set."""

SHAPES_MAX: Final = 4_096
"""Maximum number of cached functions of ``scope_of_shape``."""
PANE_S: Final = 10
"""Length of a window; starts of changes of windows and spend are multiples of it."""
PANE_US: Final = PANE_S * 1_000_000
BUCKET_S: Final = 900
"""Length of the intervals of stored spend."""

MORE_OF_WINDOWS: Final = WINDOW_DIMENSIONS[len(WINDOW_KEY) :]
"""Dimensions that deltas of windows contain by name, in their last field ``more``."""
MORE_OF_SPEND: Final = SPEND_DIMENSIONS[len(SPEND_KEY) :]
"""Dimensions that deltas of spend contain by name, in their last field ``more``."""

WINDOWS_BY_TRACE: Final = any(each.trace_field is not None for each in WINDOW_DIMENSIONS)
"""Whether windows depend on attributes of traces."""

_ARRAYS: Final = tuple(at for at, each in enumerate(SPEND_DIMENSIONS) if each.is_array)
"""Positions of the dimensions whose values are arrays."""

_START: Final = f"state.start_us // {PANE_US} * {PANE_S}"


def _key_of_state(start: str, dimensions: Sequence[Dimension]) -> Any:
    parts = [
        value(each, own_value(each)) if each.observation_field else value(each, "")
        for each in dimensions
    ]
    return compiled("state, values", tuple_of([start, *parts]))


_OWN: Final = [each for each in SPEND_DIMENSIONS if each.observation_field is not None]


def _spend_key_of_own() -> Any:
    parts = [
        value(each, f"own[{_OWN.index(each) + 1}]" if each in _OWN else "")
        for each in SPEND_DIMENSIONS
    ]
    return compiled("own, values", tuple_of(["own[0]", *parts]))


def _key_of_delta(dimensions: Sequence[Dimension], first: Sequence[str]) -> Any:
    if len(dimensions) == len(first):
        return attrgetter(*first)
    parts = [f"change.{name}" for name in first] + [
        f"change.more.get({each.name!r}, {each.default!r})" for each in dimensions[len(first) :]
    ]
    return compiled("change", tuple_of(parts))


def named(dimensions: Sequence[Dimension], values: Sequence[str]) -> dict[str, str]:
    """Return values by the names of their dimensions; values equal to the default are left out."""
    return {
        each.name: value
        for each, value in zip(dimensions, values, strict=True)
        if value != each.default
    }


window_key: Final[Callable[[Any, TraceValues], StartedKey]] = _key_of_state(
    _START, WINDOW_DIMENSIONS
)
"""Return the key of an observation's window, given the dimension values of its trace."""
own_spend_key: Final[Callable[[Any], StartedKey]] = compiled(
    "state", tuple_of([_START, *map(own_value, _OWN)])
)
"""Return the part of the spend cell's key that depends only on the observation."""
spend_key_of_own: Final[Callable[[StartedKey, TraceValues], StartedKey]] = _spend_key_of_own()
"""Return the key of the spend cell from an ``own_spend_key`` and the trace's dimension values."""

window_key_of_delta: Final[Callable[[Any], CellKey]] = _key_of_delta(WINDOW_DIMENSIONS, WINDOW_KEY)
spend_key_of_delta: Final[Callable[[Any], CellKey]] = _key_of_delta(SPEND_DIMENSIONS, SPEND_KEY)
window_key_of_row: Final[Callable[[Any], CellKey]] = attrgetter(
    *(each.name for each in WINDOW_DIMENSIONS)
)
spend_key_of_row: Final[Callable[[Any], CellKey]] = attrgetter(
    *(each.name for each in SPEND_DIMENSIONS)
)


def scopes_of_shape(shape: Shape, key: CellKey) -> tuple[Scope, ...]:
    """Return the scopes of this shape that match a spend cell's key.

    There is one, or one for each text of a dimension whose values are arrays.
    """
    scopes: tuple[Scope, ...] = (scope_of_shape(shape)(key),)
    for at in _ARRAYS:
        if shape[at]:
            texts = texts_of(key[at])
            scopes = tuple((*each[:at], text, *each[at + 1 :]) for each in scopes for text in texts)
    return scopes


def scope_of(named_values: Any) -> Scope:
    """Return the scope with these values of spend dimensions."""
    return tuple(named_values.get(each.name) for each in SPEND_DIMENSIONS)


@lru_cache(maxsize=SHAPES_MAX)
def scope_of_shape(shape: Shape) -> Callable[[CellKey], Scope]:
    """Return a compiled function that converts a key to its values of the dimensions of a shape."""
    parts = [f"key[{at}]" if is_named else "None" for at, is_named in enumerate(shape)]
    return compiled("key", tuple_of(parts))  # type: ignore[no-any-return]
