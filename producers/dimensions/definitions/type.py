"""The type of an observation, such as ``GENERATION``."""

from __future__ import annotations

from typing import Final, get_args

from producers.dimensions.dimension import Dimension, as_is
from tracemill.contract import ObservationType

DIMENSION: Final = Dimension(
    name="type",
    observation_field="type",
    value_of=as_is,
    values=get_args(ObservationType),
    place=50,
    filter_description="Only observations of these types, such as `GENERATION`.",
    in_windows=True,
)
