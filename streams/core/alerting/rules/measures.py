"""Compute the value of a metric from the sums of a window, exactly.

A value is a fraction of integers, so that it is compared with a threshold without rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Final, NamedTuple

from clickhouse.percentiles import RANK_MARGIN
from producers.alerting.metric import SCORE_SOURCES, Metric, Source, Unit
from producers.control.kinds.alert_rule import AlertRule
from streams.core.rollups.sketch import ZERO_KEY, value_of

Ratio = tuple[int, int]
"""Numerator and positive denominator of a value."""

DECIMALS: Final = 12
_QUANTUM: Final = Decimal(1).scaleb(-DECIMALS)
_PICO: Final = 10**12
_PER_UNIT: Final[dict[Unit, int]] = {"s": 1_000_000, "tokens_per_s": 1_000}
"""What the sketches of a unit count: microseconds, and thousandths of tokens per second."""
OBSERVATIONS: Final = "observations"


class Measure(NamedTuple):
    """A field of changes that is added up; of a mapping, the values of ``keys``, or of all."""

    field: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a metric is computed for a rule.

    Attributes:
        source: changes of windows, of spend or of scores.
        measures: what is added up; the first one is the number of observations, or of scores.
        bins: field with a sketch, or empty.
    """

    metric: Metric
    source: Source
    measures: tuple[Measure, ...]
    bins: str
    _of: tuple[int, ...]
    _per: tuple[int, ...]

    @property
    def numerators(self) -> tuple[int, ...]:
        """Return the indices of the measures whose increase makes a trace an exemplar."""
        return self._per if self.metric.aggregate == "average" else self._of or (0,)

    def value(self, sums: Sequence[int], bins: Mapping[int, int], window_s: int) -> Ratio | None:
        """Return the value of a window; None if it has no data."""
        metric = self.metric
        match metric.aggregate:
            case "quantile":
                return _quantile(bins, metric.quantile or 0.0, _PER_UNIT.get(metric.unit, 1))
            case "mean":
                return _mean(bins, _PER_UNIT.get(metric.unit, 1))
            case "share":
                whole = sum(sums[index] for index in self._per)
                return (sum(sums[index] for index in self._of), whole) if whole > 0 else None
            case "average":
                whole = sum(sums[index] for index in self._per)
                return (
                    (sum(sums[index] for index in self._of), whole * _PICO) if whole > 0 else None
                )
            case "rate":
                return sums[self._of[0]], max(1, window_s)
        total = sum(sums[index] for index in self._of)
        return total, _PICO if metric.unit == "USD" else 1


class NotComputable(Exception):
    """The metric of a rule is not computed from changes of windows, spend or scores."""


def plan_of(rule: AlertRule, metric: Metric) -> Plan:
    """Return how the metric of a rule is computed.

    Raises:
        NotComputable: it is computed from single rows, or a dimension does not exist.
    """
    source = metric.source_for((*rule.filter, *rule.group_by))
    if source not in ("windows", "spend", *SCORE_SOURCES):
        raise NotComputable(f"{metric.name} is not computed from windows, spend or scores")
    counted = metric.per[0] if metric.aggregate == "average" else OBSERVATIONS
    measures: list[Measure] = [Measure(counted)]

    def index_of(name: str) -> int:
        measure = _measure(name, rule, source)
        if measure not in measures:
            measures.append(measure)
        return measures.index(measure)

    if metric.aggregate in {"mean", "quantile"}:
        return Plan(metric, source, (measures[0],), metric.of[0], (), ())
    of = tuple(index_of(name) for name in metric.of)
    per = tuple(index_of(name) for name in metric.per)
    return Plan(metric, source, tuple(measures), "", of, per)


def _measure(name: str, rule: AlertRule, source: Source) -> Measure:
    """Return the measure of a metric's field, with the keys that the rule's filter selects."""
    if name == "score_values":
        return Measure(name, tuple(sorted(rule.filter.get("score_value", ()))))
    if name == "usage" and source == "spend":
        return Measure("total_tokens")
    if name == "usage":
        return Measure("usage", tuple(sorted(rule.filter.get("usage_type", ()))))
    if name == "errors" and "error_type" in rule.filter:
        return Measure("error_types", tuple(sorted(rule.filter["error_type"])))
    return Measure(name)


@lru_cache(maxsize=8_192)
def _whole_value(key: int) -> int:
    return round(value_of(key))


def _mean(bins: Mapping[int, int], per_unit: int) -> Ratio | None:
    count = sum(bins.values())
    if count <= 0:
        return None
    return sum(_whole_value(key) * number for key, number in bins.items()), count * per_unit


def _quantile(bins: Mapping[int, int], q: float, per_unit: int) -> Ratio | None:
    """Return a quantile as ``streams.core.rollups.sketch.quantile`` does, in the metric's unit."""
    count = sum(bins.values())
    if count <= 0:
        return None
    rank, seen, key = (q - RANK_MARGIN) * count, 0, ZERO_KEY
    for key in sorted(bins):
        seen += bins[key]
        if seen > rank:
            break
    return _whole_value(key), per_unit


def decimal_of(value: Ratio) -> Decimal:
    """Return a value with at most twelve decimals."""
    with localcontext(prec=60):
        found = (Decimal(value[0]) / Decimal(value[1])).quantize(_QUANTUM)
    return Decimal(format(found.normalize(), "f")) if found else Decimal(0)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A comparison with a number."""

    comparison: str
    _number: Ratio

    @classmethod
    def of(cls, comparison: str, number: Decimal) -> Threshold:
        """Return a comparison, such as ``>``, with a decimal number."""
        return cls(comparison, number.as_integer_ratio())

    def is_met(self, value: Ratio) -> bool:
        """Return whether the comparison is true."""
        left, right = value[0] * self._number[1], self._number[0] * value[1]
        match self.comparison:
            case ">":
                return left > right
            case ">=":
                return left >= right
            case "<":
                return left < right
        return left <= right
