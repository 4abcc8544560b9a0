"""The model that an observation called."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="model",
    observation_field="model",
    in_windows=True,
    in_spend=True,
    place=20,
    filter_description="Only these models.",
)
