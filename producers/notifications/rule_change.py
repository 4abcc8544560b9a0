"""The payload of the events of alert rules."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from producers.alerting.registry import METRICS
from producers.notifications.alert import Alert
from producers.notifications.event_type import EventType, iso_time
from producers.notifications.rule_texts import condition_sentence, label_of
from producers.notifications.wording import duration_text


class RuleChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the state of one group of an alert rule."""

    metric: str
    group: dict[str, str] = {}
    """Values of the dimensions of ``group_by``."""
    comparison: str
    window_start_us: int
    window_end_us: int
    exemplars: tuple[str, ...] = ()
    """Ids of the last traces that contributed to the value, at most 10."""
    incomplete: bool = False
    """Whether events are missing in the value: they wait for the store, a limit was reached, or
    the windows began after the rule."""
    annotations: dict[str, str] = {}
    """The rendered templates."""
    reason: str = ""
    """Why the state changed, in plain words."""
    sequence: int = 0
    """Number of the alert in its episode; a repeated notification has a higher one."""
    rule_version: int = 1
    delivered: bool = True
    """False: the alert is only recorded, because the rule runs in shadow, or because it is
    silenced, inhibited or acknowledged."""
    not_delivered_reason: str = ""
    """``shadow``, ``silenced``, ``inhibited`` or ``acknowledged``."""
    test: bool = False
    """Whether the alert was requested to test notifications."""
    compared_as: str = ""
    """``times`` or ``deviations`` if values are compared with earlier ones."""


class RuleAlertOut(msgspec.Struct, kw_only=True):
    """An alert of a rule in ``/v1/alerts``."""

    id: str
    """Also the ``webhook-id`` of its deliveries."""
    type: str
    rule_id: str
    rule_name: str
    rule_version: int
    episode_id: str
    state: str
    severity: str
    labels: dict[str, str]
    group: dict[str, str]
    metric: str
    comparison: str
    value: float | str | None
    """A decimal string for US dollars, otherwise a number; null without data."""
    threshold: float | str | None
    unit: str | None
    """`s`, `ratio` (from 0 to 1), `USD`, `count`, …; `times` or `deviations` if the rule compares
    with earlier values."""
    window_start: str
    window_end: str
    exemplars: list[str]
    """Ids of the last traces that contributed to the value."""
    incomplete: bool
    """Whether events are missing in the value."""
    annotations: dict[str, str]
    reason: str
    delivered: bool
    not_delivered_reason: str | None
    test: bool
    created_at: str


class RuleEvent(EventType[RuleChange]):
    """Base of the types of events of alert rules, whose alerts have the same shape."""

    payload = RuleChange
    shape = RuleAlertOut

    def is_delivered(self, alert: Alert) -> bool:
        """Return whether the alert is neither silenced, inhibited nor of a rule in shadow."""
        return self.payload_of(alert).delivered

    def webhook_data(self, alert: Alert, payload: RuleChange) -> Mapping[str, object]:
        """Return the member ``data`` of the webhook body."""
        return {
            "rule_id": alert.rule_id,
            "rule_name": alert.name,
            "rule_version": payload.rule_version,
            "alert_id": alert.id,
            "episode_id": alert.episode,
            "state": alert.state,
            "severity": alert.severity,
            "labels": alert.labels,
            "group": payload.group,
            "metric": payload.metric,
            "comparison": payload.comparison,
            "value": amount_of(payload.metric, alert.value),
            "threshold": amount_of(payload.metric, alert.limit),
            "unit": unit_of(payload.metric, payload.compared_as),
            "window_start": iso_time(payload.window_start_us),
            "window_end": iso_time(payload.window_end_us),
            "exemplars": payload.exemplars,
            "incomplete": payload.incomplete,
            "annotations": payload.annotations,
            "reason": payload.reason,
            "sequence": payload.sequence,
            "test": payload.test,
        }

    def sentence(self, alert: Alert, payload: RuleChange) -> str:
        """Return the state, and a sentence with the value, its unit, threshold and window."""
        state = f"{alert.state.replace('_', ' ')}: "
        if payload.reason.startswith(f"{label_of(payload.metric)} "):
            return state + payload.reason
        known = METRICS.get(payload.metric)
        window = ""
        if known is None or known.aggregate not in ("each", "silence"):
            seconds = (payload.window_end_us - payload.window_start_us) // 1_000_000
            window = duration_text(seconds) if seconds > 0 else ""
        text = condition_sentence(
            payload.metric,
            alert.value,
            payload.comparison,
            alert.limit,
            unit=unit_of(payload.metric, payload.compared_as) or "",
            window=window,
            is_ended=alert.state == "resolved",
        )
        # Reasons of earlier versions begin with the metric, and repeat value and threshold.
        is_told = not payload.reason or payload.reason.startswith(payload.metric)
        return f"{state}{text}" if is_told else f"{state}{text}; {payload.reason}"

    def shown(self, alert: Alert) -> RuleAlertOut:
        """Return the alert as ``/v1/alerts`` lists it."""
        payload = self.payload_of(alert)
        return RuleAlertOut(
            id=alert.id,
            type=alert.event,
            rule_id=alert.rule_id,
            rule_name=alert.name,
            rule_version=payload.rule_version,
            episode_id=alert.episode,
            state=alert.state,
            severity=alert.severity,
            labels=alert.labels,
            group=payload.group,
            metric=payload.metric,
            comparison=payload.comparison,
            value=amount_of(payload.metric, alert.value),
            threshold=amount_of(payload.metric, alert.limit),
            unit=unit_of(payload.metric, payload.compared_as),
            window_start=iso_time(payload.window_start_us),
            window_end=iso_time(payload.window_end_us),
            exemplars=list(payload.exemplars),
            incomplete=payload.incomplete,
            annotations=payload.annotations,
            reason=payload.reason,
            delivered=payload.delivered,
            not_delivered_reason=payload.not_delivered_reason or None,
            test=payload.test,
            created_at=iso_time(alert.created_us),
        )


def unit_of(metric: str, compared: str = "") -> str | None:
    """Return the unit of values of a rule; None if the metric is not known any more."""
    known = METRICS.get(metric)
    return compared or (None if known is None else known.unit)


def amount_of(metric: str, value: Decimal | None) -> Any:
    """Return a value of a metric for JSON: US dollars as a decimal string, others as a number."""
    if value is None:
        return None
    known = METRICS.get(metric)
    if known is not None and known.unit == "USD":
        return format(value, "f")
    return float(value)
