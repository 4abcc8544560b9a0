"""The environment of an observation."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension
from tracemill.environments import normal_environment

DIMENSION: Final = Dimension(
    name="environment",
    observation_field="environment",
    in_windows=True,
    in_spend=True,
    normal_form=normal_environment,
    place=30,
    filter_description="Only these environments.",
    scope_description="Converted to the normal form of stored environments, such as lower case.",
)
