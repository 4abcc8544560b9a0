"""Count the tokens of a usage by side: input, with cached tokens, and output, with reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from producers.usage_units import INPUT_TOKEN_UNITS, TOKEN_UNITS, unit_of

INPUT: Final = 0
OUTPUT: Final = 1
OTHER: Final = 2
"""Units that are not tokens, such as images or seconds."""
UNKNOWN: Final = 3
"""The total, and units with unknown names, which are assumed to be tokens."""
CACHED_TYPES_MAX: Final = 1_024


class _Sides(dict[str, int]):
    """A cache of the sides of usage types."""

    def __missing__(self, usage_type: str) -> int:
        unit = unit_of(usage_type)
        if unit in TOKEN_UNITS:
            side = INPUT if unit in INPUT_TOKEN_UNITS else OUTPUT
        else:
            side = UNKNOWN if unit is None or unit == "total" else OTHER
        if len(self) < CACHED_TYPES_MAX:
            self[usage_type] = side
        return side


_sides: Final = _Sides()


def side_of(usage_type: str) -> int:
    """Return ``INPUT``, ``OUTPUT``, ``OTHER`` or ``UNKNOWN``."""
    return _sides[usage_type]


@lru_cache(maxsize=CACHED_TYPES_MAX)
def is_cached_input(usage_type: str) -> bool:
    """Return whether a usage type is input that a cache of prompts had, in any spelling."""
    unit = unit_of(usage_type) or ""
    return unit in INPUT_TOKEN_UNITS and unit.startswith("cache") and unit.endswith("_read")


def tokens_of(usage: Mapping[str, int]) -> tuple[int, int, int]:
    """Return the tokens of the input, of the output and in total.

    Units that are not tokens are subtracted from a reported total, which may include them.
    """
    counts = [0, 0, 0, 0]
    for usage_type, count in usage.items():
        counts[_sides[usage_type]] += count
    total = usage.get("total", 0) - counts[OTHER]
    return counts[INPUT], counts[OUTPUT], max(total, counts[INPUT] + counts[OUTPUT])
