"""The tier of a trace's user, as the trace states it."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="user_tier",
    trace_field="metadata.user_tier",
    in_spend=True,
    chars_max=200,
    place=80,
    scope_description="The text `user_tier` in the metadata of the trace.",
)
