"""``budget.threshold_crossed``: the spend of a budget's period reached a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from producers.notifications.alert import Alert
from producers.notifications.budget_event import BudgetAlertOut, BudgetEvent


class ThresholdCrossed(msgspec.Struct, frozen=True, kw_only=True):
    """The payload: a threshold of a budget and the spend that reached it."""

    scope: msgspec.Raw
    """JSON object."""
    period_start_us: int
    threshold: str
    """Share of the limit, as a decimal string."""
    spent_pico: int
    limit_pico: int
    trace_id: str = ""
    """The trace whose cost crossed the threshold; empty if spend had already crossed it when the
    evaluation of the period began."""
    group: dict[str, str] = {}
    """Values of the budget's ``group_by``."""
    tier: str = ""
    limit_name: str = ""
    """Empty if the budget has a single limit."""
    period: str = ""
    """Empty in alerts of earlier versions."""
    period_end_us: int = 0
    """0 in alerts of earlier versions."""
    sequence: int = 0
    """Number of earlier alerts of this threshold in the period; corrections take them back."""
    incomplete: bool = False
    """Whether the spend may be higher; false in alerts of earlier versions."""
    time_zone: str = ""
    """The one in which the period begins; empty, for UTC, in alerts of earlier versions."""


class ThresholdAlertOut(BudgetAlertOut, kw_only=True, gc=False):
    """A crossed threshold in ``/v1/alerts``."""

    threshold: float
    """Share of the limit."""


class BudgetThresholdCrossed(BudgetEvent[ThresholdCrossed]):
    """The event type ``budget.threshold_crossed``. Its alerts also have the columns of budgets."""

    name = "budget.threshold_crossed"
    payload = ThresholdCrossed
    shape = ThresholdAlertOut

    def details(self, payload: ThresholdCrossed) -> Mapping[str, object]:
        """Return the members that only this type has."""
        return {"threshold": float(Decimal(payload.threshold))}

    def columns(self, alert: Alert, payload: ThresholdCrossed) -> Mapping[str, Any]:
        """Return the columns of budgets in the table ``alerts``."""
        return {
            "budget_id": alert.rule_id,
            "scope": bytes(payload.scope).decode(),
            "period_start_us": payload.period_start_us,
            "threshold": payload.threshold,
            "spent_pico": payload.spent_pico,
            "limit_pico": payload.limit_pico,
            "trace_id": payload.trace_id,
        }
