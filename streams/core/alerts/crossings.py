"""Convert crossed budget thresholds to alerts; the same crossing always has the same id."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Final

import msgspec

from clickhouse.alert_rows import budget_alert, row_of_alert
from clickhouse.rows import AlertRow
from producers.notifications.alert import Alert
from producers.notifications.event_types.budget_threshold_crossed import (
    BudgetThresholdCrossed,
    ThresholdCrossed,
)
from streams.core.budgets.rules import BudgetRule
from streams.core.rollups.amounts import row_amount

_EVENT_TYPE: Final = BudgetThresholdCrossed()


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold that a budget's spend in one period has reached."""

    budget: BudgetRule
    period_start_us: int
    threshold: str
    spent_pico: int
    trace_id: str
    """The trace whose cost crossed the threshold; empty if stored spend already exceeded it."""

    @property
    def id(self) -> str:
        return alert_id(self.budget, self.period_start_us, self.threshold)


def alert_id(budget: BudgetRule, period_start_us: int, threshold: str) -> str:
    """Return the id of an alert; all spellings of a threshold (``1``, ``1.0``) have the same id."""
    share = format(Decimal(threshold).normalize(), "f")
    identity = f"{budget.project_id}\n{budget.id}\n{period_start_us}\n{share}"
    return f"alert_{sha256(identity.encode()).hexdigest()[:32]}"


def alert_of(crossing: Crossing, created_us: int) -> Alert:
    """Return the alert of a crossing."""
    budget = crossing.budget
    return budget_alert(
        project_id=budget.project_id,
        alert_id=crossing.id,
        budget_id=budget.id,
        name=budget.name,
        crossed=ThresholdCrossed(
            scope=msgspec.Raw(msgspec.json.encode(budget.scope, order="sorted")),
            period_start_us=crossing.period_start_us,
            threshold=crossing.threshold,
            spent_pico=row_amount(crossing.spent_pico),
            limit_pico=budget.limit_pico,
            trace_id=crossing.trace_id,
        ),
        created_us=created_us,
    )


def alert_row(crossing: Crossing, created_us: int) -> AlertRow:
    """Return the row for the topic and table ``alerts``."""
    return row_of_alert(alert_of(crossing, created_us), _EVENT_TYPE)
