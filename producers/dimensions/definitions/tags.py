"""The tags of a trace, all of them as one value."""

from __future__ import annotations

from typing import Final

from producers.dimensions.arrays import ARRAY_CHARS_MAX, array_of
from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="tags",
    trace_field="tags",
    value_of=array_of,
    aliases=("tag",),
    is_array=True,
    in_spend=True,
    chars_max=ARRAY_CHARS_MAX,
    place=70,
    scope_description="A tag: spend of all traces that have it counts.",
)
