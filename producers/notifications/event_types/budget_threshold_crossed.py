"""``budget.threshold_crossed``: the spend of a budget's period reached a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from producers.money import usd_text
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType, iso_time

USER: Final = "user_id"


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


def budget_data(alert: Alert, payload: Any) -> dict[str, object]:
    """Return the members of webhook bodies that all events of budgets have.

    Those of ``alert.firing`` are among them, so that a receiver can handle both in the same way.
    """
    end = iso_time(payload.period_end_us) if payload.period_end_us else None
    data: dict[str, object] = {
        "budget_id": alert.rule_id,
        "name": alert.name,
        "scope": payload.scope,
        "period_start": iso_time(payload.period_start_us),
        "period_end": end,
        "spent_usd": usd_text(payload.spent_pico),
        "limit_usd": usd_text(payload.limit_pico),
        "trace_id": payload.trace_id or None,
        "group": payload.group,
        "rule_id": alert.rule_id,
        "rule_name": alert.name,
        "alert_id": alert.id,
        "episode_id": alert.episode,
        "state": alert.state,
        "severity": alert.severity,
        "labels": alert.labels,
        "value": usd_text(payload.spent_pico),
        "window_start": iso_time(payload.period_start_us),
        "window_end": end,
        "exemplars": [payload.trace_id] if payload.trace_id else [],
    }
    if payload.tier:
        data["tier"] = payload.tier
    if payload.limit_name:
        data["limit_name"] = payload.limit_name
    if USER in payload.group:
        data["user_id"] = payload.group[USER]
    return data


class BudgetAlertOut(msgspec.Struct, kw_only=True, gc=False):
    """A crossed threshold in ``/v1/alerts``."""

    id: str
    """Also the ``webhook-id`` of its deliveries."""
    type: str
    budget_id: str
    name: str
    scope: dict[str, msgspec.Raw]
    period_start: str
    threshold: float
    spent_usd: str
    limit_usd: str
    trace_id: str | None
    created_at: str
    group: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Values of ``group_by``; absent if the budget has none."""
    tier: str | msgspec.UnsetType = msgspec.UNSET
    limit_name: str | msgspec.UnsetType = msgspec.UNSET


class BudgetThresholdCrossed(EventType[ThresholdCrossed]):
    """The event type ``budget.threshold_crossed``. Its alerts also have the columns of budgets."""

    name = "budget.threshold_crossed"
    payload = ThresholdCrossed
    shape = BudgetAlertOut

    def webhook_data(self, alert: Alert, payload: ThresholdCrossed) -> Mapping[str, object]:
        """Return the member ``data`` of the webhook body."""
        return budget_data(alert, payload) | {"threshold": float(Decimal(payload.threshold))}

    def shown(self, alert: Alert) -> BudgetAlertOut:
        """Return the alert as ``/v1/alerts`` lists it."""
        payload = self.payload_of(alert)
        return BudgetAlertOut(
            id=alert.id,
            type=self.name,
            budget_id=alert.rule_id,
            name=alert.name,
            scope=msgspec.json.decode(payload.scope, type=dict[str, msgspec.Raw]),
            period_start=iso_time(payload.period_start_us),
            threshold=float(payload.threshold),
            spent_usd=usd_text(payload.spent_pico),
            limit_usd=usd_text(payload.limit_pico),
            trace_id=payload.trace_id or None,
            created_at=iso_time(alert.created_us),
            group=payload.group or msgspec.UNSET,
            tier=payload.tier or msgspec.UNSET,
            limit_name=payload.limit_name or msgspec.UNSET,
        )

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
