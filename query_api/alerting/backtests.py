"""Define the interface of backtests, which evaluate alert rules on the past.

The evaluation belongs to the stream processors; the composition root passes an implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from clickhouse.rows import ObservationRow, ScoreRow, TraceRow
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
class EarlierPanes:
    """The stored sums that earlier windows consist of: length of the panes, and their times."""

    pane_s: int
    spans_s: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Past:
    """What is stored of the past of a rule, which only it needs.

    Attributes:
        source: the rule's source (``producers.alerting.metric.Source``).
        panes: sums of windows or spend, sorted by start.
        earlier: sums of ``Backtester.earlier_panes``, sorted by start.
        rows: rows of traces or observations by their ends, or of scores by their times.
        calls: the scored observations, by trace and id.
    """

    source: str
    panes: list[RulePane] = field(default_factory=list)
    earlier: list[RulePane] = field(default_factory=list)
    rows: Sequence[TraceRow | ObservationRow | ScoreRow] = ()
    calls: dict[tuple[str, str], ObservationRow] = field(default_factory=dict)


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
    before: Sequence[Alert] = ()
    """The last alerts of the episodes that are open when the range begins."""


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

    def earlier_panes(self, rule: AlertRule, within: PastRange) -> EarlierPanes | None:
        """Return the sums of earlier windows that a rule compares with; None if there are none."""
        ...

    def evaluate(
        self, rule: AlertRule, past: Past, within: PastRange, is_cancelled: Callable[[], bool]
    ) -> PastEvaluation:
        """Evaluate a rule; it may run in another thread."""
        ...


class NoBacktester:
    """A query API without stream processors."""

    def first_needed_s(self, rule: AlertRule, from_s: int) -> int:
        """Return the start of the rule's window that ends at ``from_s``."""
        return from_s - rule.window_s

    def earlier_panes(self, rule: AlertRule, within: PastRange) -> EarlierPanes | None:  # noqa: ARG002
        """Return None."""
        return None

    def evaluate(
        self,
        rule: AlertRule,  # noqa: ARG002
        past: Past,  # noqa: ARG002
        within: PastRange,  # noqa: ARG002
        is_cancelled: Callable[[], bool],  # noqa: ARG002
    ) -> PastEvaluation:
        """Return that rules cannot be evaluated here."""
        return PastEvaluation([], [], 0, "backtests are not available in this process")
