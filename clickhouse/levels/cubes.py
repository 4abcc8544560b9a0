"""Define the cubes of levels: sets of rows without some dimensions.

Long charts usually need few dimensions. Merging sketches is the largest part of their cost, and a
cube without observation names, for example, has far fewer rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_PROMPT: Final = frozenset({"prompt_name", "prompt_version"})


@dataclass(frozen=True, slots=True)
class Cube:
    """A cube of a level: one row for each combination of its dimensions."""

    name: str
    """Value of the column ``cube``."""
    omitted: frozenset[str] = frozenset()
    """Dimensions of windows that the cube does not have; their columns have the default."""


FULL: Final = Cube("full")
"""The cube with all dimensions, from which the other ones are computed."""
REDUCED: Final = (
    Cube("model", _PROMPT | {"name"}),
    Cube("name", _PROMPT | {"model", "provider", "service_tier"}),
)
"""Cubes in the order of preference."""
CUBES: Final = (FULL, *REDUCED)


def cube_with(dimensions: Collection[str]) -> Cube:
    """Return the preferred cube that has all of these dimensions."""
    return next((each for each in REDUCED if each.omitted.isdisjoint(dimensions)), FULL)
