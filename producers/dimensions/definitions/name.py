"""The name of an observation."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="name",
    observation_field="name",
    in_windows=True,
    place=40,
    filter_description="Only observations of these names.",
)
