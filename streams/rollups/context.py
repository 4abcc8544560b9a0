"""Define the context that the partitions of stages 2 and 3 share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from producers.control.kinds.budget import Budget
from producers.settings import KafkaSettings
from streams.core.alerts.past_alerts import PastAlerts
from streams.core.budgets.rules import BudgetRule
from streams.rollups.reader import ProjectReader
from streams.rollups.settings import ProjectSettings
from streams.runtime.sink_progress import SinkProgress


@dataclass(frozen=True, slots=True)
class StageContext:
    """The dependencies that all partitions of a worker share."""

    kafka: KafkaSettings
    settings: ProjectSettings
    reader: ProjectReader
    sink: SinkProgress
    alerted: PastAlerts
    """Ids of past alerts."""
    alerts_known: Callable[[], Awaitable[None]]
    """Waits until ``alerted`` is complete."""
    budgets: Callable[[int], list[Budget]]
    """Returns the current budgets of a partition."""
    earliest: Callable[[int], Awaitable[int]]
    """Returns the first available offset of a partition of ``deltas``."""
    next_record: Callable[[int, int], Awaitable[int]]
    """Returns the offset of the first record of a partition of ``deltas`` at or after an offset.
    Transaction markers also have offsets."""
    seek: Callable[[int, int], Awaitable[None]]
    """Continues reading a partition of ``deltas`` at an offset."""


def rule_of(budget: Budget) -> BudgetRule:
    """Return a budget as the fold needs it."""
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
