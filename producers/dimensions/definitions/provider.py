"""The provider that served a call."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension
from producers.provider_names import normal_provider

DIMENSION: Final = Dimension(
    name="provider",
    observation_field="provider",
    value_of=normal_provider,
    normal_form=normal_provider,
    place=80,
    filter_description="Only calls to these providers, such as `openai`.",
    scope_description="Converted to the normal form, such as `google` for `vertex_ai`.",
    in_windows=True,
    in_spend=True,
)
