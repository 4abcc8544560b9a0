"""The public key of the API key that sent an observation."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension, as_is

DIMENSION: Final = Dimension(
    name="api_key",
    observation_field="api_key",
    value_of=as_is,
    in_spend=True,
    place=95,
    scope_description="Public key of the API key that sent the observation.",
)
