"""The session of a trace."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(
    name="session_id",
    trace_field="session_id",
    in_spend=True,
    place=50,
)
