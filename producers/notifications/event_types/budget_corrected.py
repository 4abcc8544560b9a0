"""``budget.corrected``: corrections lowered the spend below a threshold that was crossed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from producers.money import usd_text
from producers.notifications.alert import Alert
from producers.notifications.budget_event import BudgetAlertOut, BudgetEvent


class BudgetCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """The payload: a threshold that is no longer crossed, with the spend before and after."""

    scope: msgspec.Raw
    """JSON object."""
    period_start_us: int
    threshold: str
    """Share of the limit, as a decimal string."""
    old_spent_pico: int
    """Spend before the change."""
    spent_pico: int
    limit_pico: int
    trace_id: str = ""
    group: dict[str, str] = {}
    tier: str = ""
    limit_name: str = ""
    period: str = ""
    period_end_us: int = 0
    """0 in alerts of earlier versions."""
    sequence: int = 0
    """That of the alert that is taken back."""
    incomplete: bool = False
    """Whether the spend may be higher; false in alerts of earlier versions."""
    time_zone: str = ""
    """The one in which the period begins; empty, for UTC, in alerts of earlier versions."""


class CorrectionAlertOut(BudgetAlertOut, kw_only=True, gc=False):
    """A threshold that is no longer crossed in ``/v1/alerts``."""

    threshold: float
    """Share of the limit."""
    old_spent_usd: str
    """Spend before the correction."""


class BudgetCorrected(BudgetEvent[BudgetCorrection]):
    """The event type ``budget.corrected``; its state is ``resolved``."""

    name = "budget.corrected"
    payload = BudgetCorrection
    shape = CorrectionAlertOut

    def sentence(self, alert: Alert, payload: BudgetCorrection) -> str:
        """Return the spend before and after the correction."""
        old = usd_text(payload.old_spent_pico)
        return f"resolved: corrected from ${old}; {super().sentence(alert, payload)}"

    def details(self, payload: BudgetCorrection) -> Mapping[str, object]:
        """Return the members that only this type has."""
        return {
            "threshold": float(Decimal(payload.threshold)),
            "old_spent_usd": usd_text(payload.old_spent_pico),
        }
