"""The version of the prompt that a call used, as text."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="prompt_version",
    observation_field="prompt_version",
    place=71,
    filter_description="Only calls with these versions of a prompt.",
    in_windows=True,
)
