"""Define metrics: the values that alert rules compare with a threshold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final, Literal

from producers.alerting.scores import CALL_DIMENSIONS, SCORE_DIMENSIONS
from producers.dimensions.dimension import Dimension
from producers.dimensions.registry import REGISTRY

Unit = Literal["s", "ratio", "USD", "count", "tokens", "per_s", "tokens_per_s", "score"]
"""Unit of values and thresholds: seconds, shares from 0 to 1, US dollars, numbers of something,
numbers per second, and scores."""
Source = Literal["windows", "spend", "traces", "observations", "scores", "scored_calls"]
"""What a metric is computed from: changes of windows or of spend, rows of traces or observations
(each row is compared by itself), or scores, without or with fields of the scored observation."""
SCORE_SOURCES: Final[frozenset[Source]] = frozenset({"scores", "scored_calls"})
Aggregate = Literal["mean", "quantile", "average", "sum", "share", "rate", "each", "silence"]
"""How the value of a window is computed:

* ``mean``, ``quantile``: of the values whose counts are in the field ``of``;
* ``average``: the sum of the field ``of``, in picounits, divided by that of ``per``;
* ``sum``: of the field ``of``;
* ``share``: the sum of the fields ``of`` divided by that of the fields ``per``;
* ``rate``: the sum of the field ``of`` divided by the seconds of the window;
* ``each``: the field ``of`` of each row, without a window;
* ``silence``: the seconds since the last observation.
"""


def _has_dimension(source: Source, dimension: Dimension) -> bool:
    """Return whether the rows of a source have a dimension."""
    if source == "traces":
        return dimension.trace_field is not None or dimension.name == "environment"
    if source == "observations":
        return dimension.observation_field is not None
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of alert rules."""

    name: str
    label: str
    """English name for people; the console translates it."""
    about: str
    """Description for the API."""
    unit: Unit
    aggregate: Aggregate
    sources: tuple[Source, ...] = ("windows",)
    """In order of preference; the first one that has all dimensions of a rule is used."""
    of: tuple[str, ...]
    """Fields of ``WindowDelta``, ``SpendDelta`` or a row. Bins have the unit of their sketch."""
    per: tuple[str, ...] = ()
    quantile: float | None = None
    only_grows: bool = False
    """Whether more events can only raise the value of a window, so that a rule with ``>`` or
    ``>=`` can fire before the window ends."""
    is_calendar: bool = False
    """Whether a window of ``1d`` is the calendar day of the rule's time zone."""
    filters: tuple[str, ...] = ()
    """Names that a filter accepts in addition to dimensions, such as ``error_type``. Only the first
    source has them, except that all sources of scores do."""
    group: tuple[str, ...] = ()
    """Dimensions by which the metric is always grouped, such as ``session_id``."""
    has_earlier: bool = True
    """Whether rules can compare the value with stored earlier windows."""
    lowest: Decimal | None = Decimal(0)
    """Lowest threshold; None: any."""
    highest: Decimal | None = None

    def dimensions_of(self, source: Source) -> tuple[str, ...]:
        """Return the names of the dimensions that a source has."""
        return _dimensions_of(source)

    def dimensions(self) -> tuple[str, ...]:
        """Return the names of the dimensions that filters and ``group_by`` accept."""
        return _dimensions_of_all(self.sources)

    def source_for(self, dimensions: Iterable[str]) -> Source | None:
        """Return the first source that has all of ``dimensions``; None if no source has."""
        wanted = {*dimensions, *self.group}
        has_more = not wanted.isdisjoint(self.filters)
        wanted -= {*self.filters}
        for number, source in enumerate(self.sources):
            if has_more and number and source not in SCORE_SOURCES:
                continue
            if wanted <= {*self.dimensions_of(source)}:
                return source
        return None


@cache  # the registry does not change after it was read
def _dimensions_of(source: Source) -> tuple[str, ...]:
    if source == "windows":
        return tuple(each.name for each in REGISTRY.of_windows())
    if source == "spend":
        return tuple(each.name for each in REGISTRY.of_spend())
    if source in SCORE_SOURCES:
        return (*SCORE_DIMENSIONS, *(CALL_DIMENSIONS if source == "scored_calls" else ()))
    return tuple(each.name for each in REGISTRY.all() if _has_dimension(source, each))


@cache
def _dimensions_of_all(sources: tuple[Source, ...]) -> tuple[str, ...]:
    found = dict.fromkeys(name for source in sources for name in _dimensions_of(source))
    known = [each.name for each in REGISTRY.all() if each.name in found]
    return (*known, *(name for name in found if name not in known))
