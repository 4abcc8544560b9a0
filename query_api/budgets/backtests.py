"""Define the interface of backtests of budgets (``query_api.alerting.backtests``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import msgspec

from producers.budgets.forecast import Forecaster
from producers.control.kinds.budget import Budget
from producers.control.periods import QUARTER_US
from producers.notifications.alert import Alert
from query_api.alerting.backtests import PastRange
from query_api.times import SECOND_US

QUARTER_S: Final = QUARTER_US // SECOND_US
"""Length of the stored panes of spend."""


class SpendPane(msgspec.Struct, kw_only=True):
    """A row of ``query_api.store.queries.budget_past.ReadBudgetSpend``."""

    start_s: int
    values: tuple[str, ...]
    cost_usd: str
    tier: str = ""


class EarlierRange(NamedTuple):
    """What a limit needs from before the range: spend since ``from_s``.

    If ``is_whole``, the sum of each group is sufficient.
    """

    limit_name: str
    from_s: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class SpendSeries:
    """The spend of a group in its current period: times in seconds, and picodollars."""

    limit_name: str
    group: dict[str, str]
    limit_pico: int
    points: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class PastBudget:
    """What a budget would have done."""

    alerts: list[Alert]
    series: list[SpendSeries]
    is_truncated: bool
    """Whether series are missing."""


class BudgetBacktester(Protocol):
    """An interface to evaluate budgets by the code of the stream processors."""

    def earlier_of_budget(self, budget: Budget, from_s: int) -> list[EarlierRange]:
        """Return what the limits of a budget need from before ``from_s``.

        Raises:
            ValueError: the budget cannot be evaluated here.
        """
        ...

    def evaluate_budget(
        self,
        budget: Budget,
        earlier: Mapping[str, Sequence[SpendPane]],
        panes: Sequence[SpendPane],
        within: PastRange,
        tier_of: Callable[[str, str], str],
        forecaster: Forecaster,
        is_cancelled: Callable[[], bool],
    ) -> PastBudget:
        """Evaluate a budget on panes that are sorted by start; it may run in another thread."""
        ...


class NoBudgetBacktester:
    """A query API without stream processors."""

    def earlier_of_budget(self, budget: Budget, from_s: int) -> list[EarlierRange]:  # noqa: ARG002
        """Refuse to evaluate.

        Raises:
            ValueError: always.
        """
        raise ValueError("backtests are not available in this process")

    def evaluate_budget(
        self,
        budget: Budget,  # noqa: ARG002
        earlier: Mapping[str, Sequence[SpendPane]],  # noqa: ARG002
        panes: Sequence[SpendPane],  # noqa: ARG002
        within: PastRange,  # noqa: ARG002
        tier_of: Callable[[str, str], str],  # noqa: ARG002
        forecaster: Forecaster,  # noqa: ARG002
        is_cancelled: Callable[[], bool],  # noqa: ARG002
    ) -> PastBudget:
        """Return nothing."""
        return PastBudget([], [], is_truncated=False)
