"""Define the interface of backtests, which evaluate alert rules on the past.

The evaluation belongs to the stream processors; the composition root passes an implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.alert import Alert


class RulePane(msgspec.Struct, kw_only=True):
    """A row of ``query_api.store.queries.rule_panes.ReadRulePanes``."""

    start_s: int
    dimensions: dict[str, str]
    observations: int
    errors: int
    cost_usd: str
    usage: dict[str, int] = {}
    error_types: dict[str, int] = {}
    unpriced: int = 0
    cache_exact: int = 0
    cache_semantic: int = 0
    cache_miss: int = 0
    state_hex: str = ""


@dataclass(frozen=True, slots=True)
class PastSeries:
    """The values of a group: times in seconds, and values as text, None without data."""

    group: dict[str, str]
    points: list[tuple[int, str | None]]


@dataclass(frozen=True, slots=True)
class PastEvaluation:
    """What a rule would have done."""

    alerts: list[Alert]
    series: list[PastSeries]
    groups_left_out: int
    fault: str
    """Why the rule cannot be evaluated; empty if it can."""


@dataclass(frozen=True, slots=True)
class PastRange:
    """The range of an evaluation in seconds since the epoch, and the size of its result."""

    from_s: int
    to_s: int
    step_s: int
    series_max: int


class Backtester(Protocol):
    """An interface to evaluate rules by the code of the stream processors."""

    def first_needed_s(self, rule: AlertRule, from_s: int) -> int:
        """Return the start of the data that an evaluation from ``from_s`` on needs.

        Both are seconds since the epoch.
        """
        ...

    def evaluate(
        self,
        rule: AlertRule,
        source: str,
        panes: Sequence[RulePane],
        within: PastRange,
        is_cancelled: Callable[[], bool],
    ) -> PastEvaluation:
        """Evaluate a rule on panes that are sorted by start; it may run in another thread."""
        ...


class NoBacktester:
    """A query API without stream processors."""

    def first_needed_s(self, rule: AlertRule, from_s: int) -> int:
        """Return the start of the rule's window that ends at ``from_s``."""
        return from_s - rule.window_s

    def evaluate(
        self,
        rule: AlertRule,  # noqa: ARG002
        source: str,  # noqa: ARG002
        panes: Sequence[RulePane],  # noqa: ARG002
        within: PastRange,  # noqa: ARG002
        is_cancelled: Callable[[], bool],  # noqa: ARG002
    ) -> PastEvaluation:
        """Return that rules cannot be evaluated here."""
        return PastEvaluation([], [], 0, "backtests are not available in this process")
