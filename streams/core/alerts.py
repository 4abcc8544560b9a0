"""Alerts: a budget threshold was crossed. Who crossed which threshold when is the identity; a replay cannot say it twice."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

import msgspec

from clickhouse.rows import AlertRow
from streams.core.budget_rules import BudgetRule


@dataclass(frozen=True, slots=True)
class Crossing:
    """The spend of a budget's period reached a threshold."""

    budget: BudgetRule
    period_start_us: int
    threshold: str
    spent_pico: int
    trace_id: str
    """The trace whose cost did it; empty when the spend was that high already."""

    @property
    def id(self) -> str:
        return alert_id(self.budget, self.period_start_us, self.threshold)


def alert_id(budget: BudgetRule, period_start_us: int, threshold: str) -> str:
    """The same for every spelling of the threshold (``1``, ``1.0``)."""
    share = format(Decimal(threshold).normalize(), "f")
    identity = f"{budget.project_id}\n{budget.id}\n{period_start_us}\n{share}"
    return f"alert_{sha256(identity.encode()).hexdigest()[:32]}"


def alert_row(crossing: Crossing, created_us: int) -> AlertRow:
    """The row for the topic and table ``alerts``."""
    budget = crossing.budget
    return AlertRow(
        project_id=budget.project_id,
        id=crossing.id,
        budget_id=budget.id,
        name=budget.name,
        scope=msgspec.json.encode(budget.scope, order="sorted").decode(),
        period_start_us=crossing.period_start_us,
        threshold=crossing.threshold,
        spent_pico=crossing.spent_pico,
        limit_pico=budget.limit_pico,
        trace_id=crossing.trace_id,
        created_us=created_us,
        row_version=1,
    )
