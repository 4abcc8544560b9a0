"""Define what the types of events of budgets have in common: webhook body and shape in the API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

import msgspec

from producers.money import usd_text
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType, PayloadT, iso_time
from producers.notifications.wording import minute_text, percent_text

USER: Final = "user_id"


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
        "incomplete": payload.incomplete,
    }
    if payload.tier:
        data["tier"] = payload.tier
    if payload.limit_name:
        data["limit_name"] = payload.limit_name
    if USER in payload.group:
        data["user_id"] = payload.group[USER]
    return data


def spent_text(payload: Any) -> str:
    """Return the spend and its share of the limit, such as ``$0.025 of $0.05 spent (50 %)``."""
    share = percent_text(payload.spent_pico, payload.limit_pico)
    threshold = getattr(payload, "threshold", "")
    reached = percent_text(Decimal(threshold), 1) if threshold else share
    of_threshold = "" if reached == share else f", threshold {reached}"
    spent, limit = usd_text(payload.spent_pico), usd_text(payload.limit_pico)
    return f"${spent} of ${limit} spent ({share}{of_threshold})"


def period_text(payload: Any) -> str:
    """Return a budget's period, such as ``day since 2026-11-29 00:00 Europe/Berlin``."""
    name = " ".join(each for each in (payload.limit_name, payload.period) if each) or "period"
    return f"{name} since {minute_text(payload.period_start_us, payload.time_zone)}"


class BudgetAlertOut(msgspec.Struct, kw_only=True, gc=False):
    """An alert of a budget in ``/v1/alerts``."""

    id: str
    """Also the ``webhook-id`` of its deliveries."""
    type: str
    budget_id: str
    name: str
    episode_id: str
    state: str
    severity: str
    scope: dict[str, msgspec.Raw]
    period_start: str
    period_end: str | None
    """Null for a period without an end, and for alerts of earlier versions."""
    spent_usd: str
    limit_usd: str
    trace_id: str | None
    incomplete: bool = False
    """Whether the spend may be higher: the stored spend is not read yet, or events wait for the
    store."""
    created_at: str
    group: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Values of ``group_by``; absent if the budget has none."""
    tier: str | msgspec.UnsetType = msgspec.UNSET
    limit_name: str | msgspec.UnsetType = msgspec.UNSET


class BudgetEvent(EventType[PayloadT], ABC):
    """Base of the types of events of budgets."""

    shape: ClassVar[type[BudgetAlertOut]] = BudgetAlertOut

    @abstractmethod
    def details(self, payload: PayloadT) -> Mapping[str, object]:
        """Return the members of both shapes that only this type has: amounts in USD, ISO times."""

    def webhook_data(self, alert: Alert, payload: PayloadT) -> Mapping[str, object]:
        """Return the member ``data`` of the webhook body."""
        return budget_data(alert, payload) | dict(self.details(payload))

    def sentence(self, alert: Alert, payload: PayloadT) -> str:  # noqa: ARG002
        """Return the spend, the limit and the period."""
        return f"{spent_text(payload)}, {period_text(payload)}"

    def shown(self, alert: Alert) -> msgspec.Struct:
        """Return the alert as ``/v1/alerts`` lists it, an instance of ``shape``."""
        payload: Any = self.payload_of(alert)
        return self.shape(
            id=alert.id,
            type=self.name,
            budget_id=alert.rule_id,
            name=alert.name,
            episode_id=alert.episode,
            state=alert.state,
            severity=alert.severity,
            scope=msgspec.json.decode(payload.scope, type=dict[str, msgspec.Raw]),
            period_start=iso_time(payload.period_start_us),
            period_end=iso_time(payload.period_end_us) if payload.period_end_us else None,
            spent_usd=usd_text(payload.spent_pico),
            limit_usd=usd_text(payload.limit_pico),
            trace_id=payload.trace_id or None,
            incomplete=payload.incomplete,
            created_at=iso_time(alert.created_us),
            group=payload.group or msgspec.UNSET,
            tier=payload.tier or msgspec.UNSET,
            limit_name=payload.limit_name or msgspec.UNSET,
            **self.details(payload),
        )
