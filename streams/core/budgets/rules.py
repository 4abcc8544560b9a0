"""Define the rules of budgets that the fold evaluates: scope, periods and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from producers.control.periods import period_bounds
from streams.core.dimensions.keys import CellKey, Scope, has_scope, scope_of

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """The rule of one budget."""

    id: str
    project_id: str
    name: str
    scope: Mapping[str, str] = field(hash=False)
    """Values of spend dimensions by name; empty: the whole project."""
    period: str
    time_zone: str
    limit_pico: int
    thresholds: tuple[str, ...]
    """Shares of the limit, as decimal strings."""
    created_us: int

    @property
    def scope_key(self) -> Scope:
        return scope_of(self.scope)

    def period_of(self, bucket_s: int) -> tuple[int, int]:
        """Return the period that contains a bucket, as start and end in microseconds.

        Raises:
            ValueError: the time is outside the calendar's range.
        """
        return _period_of(self.period, self.time_zone, bucket_s)

    def steps(self) -> list[tuple[int, str]]:
        """Return ``(picodollars, threshold)`` of each threshold, ascending.

        A threshold is crossed when the spend reaches its picodollars.
        """
        limit = self.limit_pico
        return sorted((-(-limit * Fraction(share) // 1), share) for share in self.thresholds)


def matches(scope: Scope, key: CellKey) -> bool:
    """Return whether ``scope`` includes the spend of the cell ``key``."""
    return has_scope(scope, key)


@lru_cache(maxsize=65_536)
def _period_of(period: str, time_zone: str, at_s: int) -> tuple[int, int]:
    return period_bounds(period, time_zone, at_s * _SECOND_US)
