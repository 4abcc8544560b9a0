"""The level of an observation, such as ``ERROR``."""

from __future__ import annotations

from typing import Final, get_args

from producers.dimensions.dimension import Dimension, as_is
from tracemill.contract import Level

DIMENSION: Final = Dimension(
    name="level",
    observation_field="level",
    value_of=as_is,
    values=get_args(Level),
    place=60,
    filter_description="Only these levels: `DEBUG`, `DEFAULT`, `WARNING`, `ERROR`.",
    in_windows=True,
)
