"""The name of the prompt that a call used."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension, as_is

DIMENSION: Final = Dimension(
    name="prompt_name",
    observation_field="prompt_name",
    value_of=as_is,
    place=70,
    filter_description="Only calls with these prompts.",
    in_windows=True,
    in_spend=True,
)
