"""The user of a trace."""

from __future__ import annotations

from typing import Final

from producers.dimensions.dimension import Dimension

DIMENSION: Final = Dimension(name="user_id", trace_field="user_id", in_spend=True, place=10)
