"""Define the cubes of levels: sets of rows without some dimensions.

Long charts usually need few dimensions. Merging sketches is the largest part of their cost, and a
cube without observation names, for example, has far fewer rows. The cubes with one dimension or
none have one row for each value and hour or day, so their rows also have percentiles.
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
    only: frozenset[str] | None = None
    """The dimensions that the cube has; None: all but the omitted ones."""
    source: str = "full"
    """The cube from which its hours are computed."""

    def has(self, dimension: str) -> bool:
        if self.only is not None:
            return dimension in self.only
        return dimension not in self.omitted

    @property
    def has_percentiles(self) -> bool:
        """Return whether its rows have the percentiles of their sketches."""
        return self.only is not None


FULL: Final = Cube("full")
"""The cube with all dimensions."""
REDUCED: Final = (
    Cube("name", _PROMPT | {"model", "provider", "service_tier"}),
    Cube("model", _PROMPT | {"name"}),
    Cube("name_only", only=frozenset({"name"}), source="name"),
    Cube("model_only", only=frozenset({"model"}), source="model"),
    Cube("total", only=frozenset(), source="model_only"),
)
"""Cubes in the order in which they are computed; later ones have fewer rows."""
CUBES: Final = (FULL, *REDUCED)


def cube_with(dimensions: Collection[str]) -> Cube:
    """Return the cube with the fewest rows that has all of these dimensions."""
    return next(each for each in reversed(CUBES) if all(map(each.has, dimensions)))
