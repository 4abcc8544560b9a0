"""Define aggregate queries, independent of the source that answers them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from query_api.query.dimension import Dimension, Measure, View
from query_api.store.conditions import Condition
from query_api.store.steps import Runs

PERCENTILE: Final = re.compile(r"p(?!0+(?:\.0+)?\Z)(\d{1,2}(?:\.\d{1,3})?)\Z", re.ASCII)
"""Percentiles from p0.001 to p99.999."""


class GroupBy(NamedTuple):
    """A dimension, under the name of the request."""

    name: str
    dimension: Dimension


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure with an aggregation, under the name of the request.

    Aggregations are ``sum``, ``avg``, ``count``, ``min``, ``max``, ``uniq``, ``p`` with a
    percentage, ``histogram`` and ``heatmap``.
    """

    name: str
    measure: Measure
    aggregation: str
    bins: int = 10

    @property
    def level(self) -> float | None:
        """Return the quantile of a percentile, such as 0.999; None for other aggregations."""
        percentile = PERCENTILE.match(self.aggregation)
        return None if percentile is None else round(float(percentile[1]) / 100, 6)


@dataclass(frozen=True, slots=True)
class LogicalQuery:
    """An aggregate query; ``bounds_s`` are the bounds of the steps."""

    project_id: str
    view: View
    from_us: int
    to_us: int
    group_by: tuple[GroupBy, ...]
    metrics: tuple[Metric, ...]
    conditions: tuple[Condition, ...] = ()
    bounds_s: tuple[int, ...] = ()
    runs: Runs | None = None
    is_money_exact: bool = False
    """Whether money is a decimal; otherwise a double."""
    is_spend_complete: bool = False
    """Whether all rows of spend in the range have counts and all dimensions."""
    has_spend_unpriced: bool = False
    """Whether all of them count calls without a price."""
    are_percentiles_exact: bool = False
    """Whether percentiles are computed from all values, and not from sketches."""
