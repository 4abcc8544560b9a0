"""Alerts: a budget threshold was crossed. Who crossed which threshold when is the identity; a replay cannot say it twice."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Protocol

import msgspec

from clickhouse.rows import AlertRow
from streams.core.budgets.rules import BudgetRule
from streams.core.rollups.amounts import row_amount


class AlertIds(Protocol):
    """Which alerts there were."""

    def __contains__(self, alert_id: object, /) -> bool: ...

    def add(self, alert_id: str, /) -> None: ...


class PastAlerts:
    """The ids of the latest ``alerts_max`` alerts.

    One that is forgotten can be said again, should its period still move: with the same id, so that the store and receivers can tell.
    """

    def __init__(self, alerts_max: int) -> None:
        self._alerts_max = alerts_max
        self._ids: dict[str, None] = {}
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, alert_id: object, /) -> bool:
        return alert_id in self._ids

    def add(self, alert_id: str, /) -> None:
        """Remember an alert; the oldest makes room."""
        if alert_id not in self._ids:
            self._ids[alert_id] = None
            if len(self._ids) > self._alerts_max:
                del self._ids[next(iter(self._ids))]
                self._forgotten += 1

    def take_forgotten(self) -> int:
        """How many were forgotten since the last call."""
        forgotten, self._forgotten = self._forgotten, 0
        return forgotten


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
        spent_pico=row_amount(crossing.spent_pico),
        limit_pico=budget.limit_pico,
        trace_id=crossing.trace_id,
        created_us=created_us,
        row_version=1,
    )
