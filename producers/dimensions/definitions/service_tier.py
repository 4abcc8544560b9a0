"""The provider's tier that served a call."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension, as_is

DIMENSION: Final = Dimension(
    name="service_tier",
    observation_field="service_tier",
    value_of=as_is,
    place=90,
    filter_description="Only calls that these tiers served, such as `flex`.",
    in_windows=True,
)
