"""Compute what prompt caches save, compared to the same call without a cache.

Without a cache, the provider would charge each token that was read from a cache, or written to one,
as a fresh token of the same modality. The saving of a call is

    sum of count × (price of a fresh token − price paid), over cache reads and cache writes.

Reads save, because they are cheaper. Writes are often more expensive, and their surcharge is
subtracted: the saving of a call that only writes is negative. Tokens whose fresh price is unknown
save nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from producers.usage_units import unit_of

_TYPES_MAX: Final = 4_096
"""Maximum number of usage types whose fresh unit is cached."""
_CACHED: Final = re.compile(r"cache_(?:(text|audio|image|video)_)?(?:read|write)(?:_\w+)?$")


def fresh_unit_of(usage_type: str) -> str:
    """Return the unit of the same tokens without a cache; empty if the type is not cached."""
    found = _CACHED.match(unit_of(usage_type) or "")
    if found is None:
        return ""
    return f"input_{found[1]}" if found[1] else "input"


class _FreshUnits(dict[str, str]):
    def __missing__(self, usage_type: str) -> str:
        unit = fresh_unit_of(usage_type)
        if len(self) < _TYPES_MAX:
            self[usage_type] = unit
        return unit


FRESH_UNITS: Final[Mapping[str, str]] = _FreshUnits()
"""The results of ``fresh_unit_of`` by usage type."""
