"""Define the kinds of charts that show answers of ``/v1/query``, and the steps that fit them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

HOUR_S: Final = 3_600
RangeName = Literal["1h", "6h", "24h", "7d", "30d"]
RANGES_S: Final[Mapping[str, int]] = MappingProxyType(
    {
        "1h": HOUR_S,
        "6h": 6 * HOUR_S,
        "24h": 24 * HOUR_S,
        "7d": 7 * 24 * HOUR_S,
        "30d": 30 * 24 * HOUR_S,
    }
)
"""Lengths in seconds of the ranges that pages offer; they end now."""
assert RANGES_S.keys() == set(get_args(RangeName))
ChartKind = Literal["line", "columns", "bar", "table", "number", "heatmap", "distribution"]
KINDS: Final[tuple[ChartKind, ...]] = get_args(ChartKind)
OVER_TIME: Final = frozenset({"line", "columns", "heatmap"})
"""Charts that have steps."""
OF_VALUES: Final = frozenset({"heatmap", "distribution"})
"""Charts of the values of one measure, without dimensions."""
GROUPED: Final = frozenset({"line", "columns", "bar", "table"})
"""Charts that can have dimensions."""
MEASURES_MAX: Final = 8
"""Maximum number of measures and formulas of a chart."""
HISTOGRAM: Final = ".histogram"
"""End of the name of a measure whose value is all values by bucket."""
_STEPS_OF_LENGTHS: Final = (
    (900, "10s"), (3_600, "1m"), (21_600, "5m"), (172_800, "15m"), (1_209_600, "1h"),
)  # fmt: skip
"""Maximum lengths in seconds of ranges, with their steps; longer ones: a day."""


def step_of(length_s: int) -> str:
    """Return the length of steps that fits to a range."""
    return next((step for limit_s, step in _STEPS_OF_LENGTHS if length_s <= limit_s), "1d")
