"""Query alerts and crossed thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from query_api.store.rows import ALERT_WHOLE
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery


@dataclass(frozen=True, slots=True)
class CrossedThresholds(StoreQuery):
    """Select the ``threshold`` of each alert of a budget in one period."""

    name: ClassVar[str] = "crossed_thresholds"
    budget_id: str
    period_start_us: int

    def write(self, binder: Binder) -> str:
        return (
            f"SELECT threshold\nFROM alerts FINAL\nWHERE {OF_PROJECT}"
            f"\n  AND budget_id = {binder.text(self.budget_id)}"
            f"\n  AND period_start_time = {binder.instant(self.period_start_us)}"
        )


@dataclass(frozen=True, slots=True)
class FindAlerts(StoreQuery):
    """Select alerts, newest first; with ``below``, those that sort after ``(created_us, id)``."""

    name: ClassVar[str] = "find_alerts"
    limit: int = 50
    below: tuple[int, str] | None = None
    budget_id: str = ""
    rule_id: str = ""
    episode: str = ""
    alert_id: str = ""

    def write(self, binder: Binder) -> str:
        conditions = ""
        if self.budget_id:
            conditions += (
                f"\n  AND rule_kind = 'budget' AND rule_id = {binder.text(self.budget_id)}"
            )
        if self.rule_id:
            conditions += f"\n  AND rule_id = {binder.text(self.rule_id)}"
        if self.episode:
            conditions += f"\n  AND episode = {binder.text(self.episode)}"
        if self.alert_id:
            conditions += f"\n  AND id = {binder.text(self.alert_id)}"
        if self.below is not None:
            created_us, identifier = self.below
            conditions += (
                f"\n  AND (created_time, id) < "
                f"({binder.instant(created_us)}, {binder.text(identifier)})"
            )
        return (
            f"SELECT {', '.join(ALERT_WHOLE)}\nFROM alerts FINAL\nWHERE {OF_PROJECT}{conditions}\n"
            f"ORDER BY created_time DESC, id DESC\nLIMIT {binder.bind(self.limit, 'UInt32')}"
        )
