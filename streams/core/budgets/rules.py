"""What a budget asks for: which spend counts, in which period, and at how many picodollars a threshold lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from producers.control.periods import period_bounds
from streams.core.dimensions.keys import CellKey, Scope, scope_of

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """A budget as the fold needs it."""

    id: str
    project_id: str
    name: str
    scope: Mapping[str, str] = field(hash=False)
    """Values of dimensions of spend by their names; empty: the whole project."""
    period: Literal["day", "month"]
    time_zone: str
    limit_pico: int
    thresholds: tuple[str, ...]
    """Decimal strings, shares of the limit."""
    created_us: int

    @property
    def scope_key(self) -> Scope:
        return scope_of(self.scope)

    def period_of(self, bucket_s: int) -> tuple[int, int]:
        """Start and end, in microseconds, of the period that a bucket counts to.

        Raises:
            ValueError: no calendar reaches that far.
        """
        return _period_of(self.period, self.time_zone, bucket_s)

    def steps(self) -> list[tuple[int, str]]:
        """``(picodollars, threshold)``, ascending: a threshold is crossed once the spend is at least that much."""
        limit = self.limit_pico
        return sorted((-(-limit * Fraction(share) // 1), share) for share in self.thresholds)


def matches(scope: Scope, key: CellKey) -> bool:
    """Whether spend of ``key`` counts."""
    return all(wanted is None or wanted == given for wanted, given in zip(scope, key, strict=True))


@lru_cache(maxsize=65_536)
def _period_of(period: Literal["day", "month"], time_zone: str, at_s: int) -> tuple[int, int]:
    return period_bounds(period, time_zone, at_s * _SECOND_US)
