"""The name of a trace."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="trace_name",
    trace_field="name",
    in_spend=True,
    place=60,
    scope_description="Name of the trace; if it has none, that of its root observation.",
)
