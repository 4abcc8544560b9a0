"""Define the context that the partitions of the rollups stage share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from producers.control.kinds.budget import Budget
from producers.settings import KafkaSettings
from streams.core.alerts.past_alerts import PastAlerts
from streams.core.budgets.rules import BudgetRule
from streams.rollups.reader import ProjectReader
from streams.rollups.settings import ProjectSettings
from streams.runtime.sink_progress import SinkProgress

EVALUATED_HERE: Final[frozenset[str]] = frozenset()
"""Ids of budgets that this stage evaluates: none. The evaluation in this stage is to be removed."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """The dependencies that all partitions of a worker share."""

    kafka: KafkaSettings
    settings: ProjectSettings
    reader: ProjectReader
    sink: SinkProgress
    alerted: PastAlerts
    """Ids of past alerts."""
    alerts_loaded: Callable[[], Awaitable[None]]
    """Wait until ``alerted`` is complete."""
    budgets: Callable[[int], list[Budget]]
    """Return the current budgets of a partition."""
    earliest: Callable[[int], Awaitable[int]]
    """Return the first available offset of a partition of ``deltas``."""
    next_record: Callable[[int, int], Awaitable[int]]
    """Return the offset of the first record at or after an offset, in a partition of ``deltas``.
    It may be after the given offset, because transaction markers have offsets, too."""
    seek: Callable[[int, int], Awaitable[None]]
    """Continue reading a partition of ``deltas`` at an offset."""


def is_evaluated_here(budget: Budget) -> bool:
    """Return whether this stage evaluates a budget; the alerting stage evaluates all others."""
    return budget.id in EVALUATED_HERE


def rule_of(budget: Budget) -> BudgetRule:
    """Convert a control record to the rule that the fold evaluates."""
    assert budget.limit_pico is not None
    return BudgetRule(
        id=budget.id,
        project_id=budget.project_id,
        name=budget.name,
        scope={str(column): value for column, value in budget.scope.items()},
        period=budget.period,
        time_zone=budget.time_zone,
        limit_pico=budget.limit_pico,
        thresholds=budget.thresholds,
        created_us=budget.created_us,
    )
