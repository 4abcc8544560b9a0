"""Create the alerts of budgets. Their ids depend only on their causes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

import msgspec

from producers.budgets.groups import group_text
from producers.control.periods import FOREVER_US
from producers.money import usd_text
from producers.notifications.alert import Alert, Severity
from producers.notifications.event_types.budget_burn_rate import BudgetBurn, BudgetBurnRate
from producers.notifications.event_types.budget_corrected import BudgetCorrected, BudgetCorrection
from producers.notifications.event_types.budget_forecast_exceeded import (
    BudgetForecast,
    BudgetForecastExceeded,
)
from producers.notifications.event_types.budget_threshold_crossed import (
    BudgetThresholdCrossed,
    ThresholdCrossed,
)
from streams.core.budgets.limits import Group, LimitRule
from streams.core.rollups.amounts import row_amount

BUDGET = "budget"
_BURN_RATE = "burn_rate"
"""Cause of the alerts of a high burn rate, in their ids."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The group of a limit in a period, about which alerts are created."""

    rule: LimitRule
    start_us: int
    end_us: int
    group: Group
    tier: str
    limit_pico: int
    spent_pico: int
    trace_id: str
    now_us: int
    is_incomplete: bool = False
    """Whether spend may be missing, so that ``spent_pico`` is a lower bound."""

    @property
    def shown_end_us(self) -> int:
        """Return the end of the period; 0 if it has none."""
        return self.end_us if self.end_us < FOREVER_US else 0


def crossed(subject: Subject, threshold: str, sequence: int) -> Alert:
    """Return the alert of a crossed threshold.

    The first alert of a threshold of a simple budget has the same id as in earlier versions.
    """
    rule = subject.rule
    payload = ThresholdCrossed(
        scope=rule.scope_json,
        period_start_us=subject.start_us,
        period_end_us=subject.shown_end_us,
        threshold=threshold,
        spent_pico=row_amount(subject.spent_pico),
        limit_pico=subject.limit_pico,
        trace_id=subject.trace_id,
        group=rule.named(subject.group),
        tier=subject.tier,
        limit_name=rule.limit.name,
        period=rule.limit.period,
        incomplete=subject.is_incomplete,
        time_zone=rule.budget.time_zone,
        sequence=sequence,
    )
    severity: Severity = "critical" if Decimal(threshold) >= 1 else "warning"
    return _alert(
        subject, BudgetThresholdCrossed.name, payload, _share(threshold), sequence, severity
    )


def corrected(subject: Subject, threshold: str, sequence: int, old_spent_pico: int) -> Alert:
    """Return the alert that takes back the one of a crossed threshold."""
    rule = subject.rule
    payload = BudgetCorrection(
        scope=rule.scope_json,
        period_start_us=subject.start_us,
        period_end_us=subject.shown_end_us,
        threshold=threshold,
        old_spent_pico=row_amount(old_spent_pico),
        spent_pico=row_amount(subject.spent_pico),
        limit_pico=subject.limit_pico,
        trace_id=subject.trace_id,
        group=rule.named(subject.group),
        tier=subject.tier,
        limit_name=rule.limit.name,
        period=rule.limit.period,
        incomplete=subject.is_incomplete,
        time_zone=rule.budget.time_zone,
        sequence=sequence,
    )
    return _alert(
        subject, BudgetCorrected.name, payload, _correction(threshold), sequence, "info",
        state="resolved",
    )  # fmt: skip


def forecast(subject: Subject, forecast_pico: int, reached_us: int, method: str) -> Alert:
    """Return the alert of a forecast above the limit."""
    rule = subject.rule
    payload = BudgetForecast(
        scope=rule.scope_json,
        period_start_us=subject.start_us,
        period_end_us=subject.end_us,
        spent_pico=row_amount(subject.spent_pico),
        forecast_pico=row_amount(forecast_pico),
        limit_pico=subject.limit_pico,
        reached_us=reached_us,
        method=method,
        trace_id=subject.trace_id,
        group=rule.named(subject.group),
        tier=subject.tier,
        limit_name=rule.limit.name,
        period=rule.limit.period,
        incomplete=subject.is_incomplete,
        time_zone=rule.budget.time_zone,
    )
    return _alert(subject, BudgetForecastExceeded.name, payload, "forecast", 0, "warning")


def burn_rate(subject: Subject, fast: float, slow: float, sequence: int) -> Alert:
    """Return the alert of a high burn rate; ``fast`` and ``slow`` are multiples of the allowed."""
    rule = subject.rule
    burn = rule.budget.burn_rate
    assert burn is not None
    payload = BudgetBurn(
        scope=rule.scope_json,
        period_start_us=subject.start_us,
        period_end_us=subject.shown_end_us,
        fast_s=burn.fast_s,
        slow_s=burn.slow_s,
        fast_rate=round(fast, 3),
        slow_rate=round(slow, 3),
        factor=burn.factor,
        spent_pico=row_amount(subject.spent_pico),
        limit_pico=subject.limit_pico,
        trace_id=subject.trace_id,
        group=rule.named(subject.group),
        tier=subject.tier,
        limit_name=rule.limit.name,
        period=rule.limit.period,
        incomplete=subject.is_incomplete,
        time_zone=rule.budget.time_zone,
    )
    return _alert(subject, BudgetBurnRate.name, payload, _BURN_RATE, sequence, "critical")


def crossed_id(rule: LimitRule, start_us: int, group: Group, threshold: str, sequence: int) -> str:
    """Return the id of the alert of a crossed threshold."""
    return _id(rule, start_us, _names(rule, group), _share(threshold), sequence)


def corrected_id(
    rule: LimitRule, start_us: int, group: Group, threshold: str, sequence: int
) -> str:
    """Return the id of the alert that takes back the one of a crossed threshold."""
    return _id(rule, start_us, _names(rule, group), _correction(threshold), sequence)


def burn_rate_id(rule: LimitRule, start_us: int, group: Group, sequence: int) -> str:
    """Return the id of the alert of a high burn rate."""
    return _id(rule, start_us, _names(rule, group), _BURN_RATE, sequence)


def _names(rule: LimitRule, group: Group) -> str:
    """Return what distinguishes a group and limit; empty if there is only one."""
    text = group_text(rule.named(group)) if group else ""
    name = rule.limit.name
    return "\n".join(filter(None, (name and f"limit={name}", text)))


def _id(rule: LimitRule, start_us: int, names: str, cause: str, sequence: int) -> str:
    parts = [rule.budget.project_id, rule.budget.id, str(start_us), cause]
    if names:
        parts.append(names)
    if sequence:
        parts.append(f"sequence={sequence}")
    return f"alert_{sha256(chr(10).join(parts).encode()).hexdigest()[:32]}"


def _share(threshold: str) -> str:
    """Return the normal form of a threshold; all its spellings have the same alert ids."""
    return format(Decimal(threshold).normalize(), "f")


def _correction(threshold: str) -> str:
    """Return the cause of the alert that takes back the one of a threshold."""
    return f"corrected\n{_share(threshold)}"


def _alert(
    subject: Subject,
    event: str,
    payload: msgspec.Struct,
    cause: str,
    sequence: int,
    severity: Severity,
    state: str = "firing",
) -> Alert:
    budget, names = subject.rule.budget, _names(subject.rule, subject.group)
    episode = f"{budget.id}/{subject.start_us}"
    if names:
        episode += f"/{sha256(names.encode()).hexdigest()[:16]}"
    return Alert(
        project_id=budget.project_id,
        id=_id(subject.rule, subject.start_us, names, cause, sequence),
        event=event,
        rule_kind=BUDGET,
        rule_id=budget.id,
        name=budget.name,
        labels={**budget.scope, **subject.rule.named(subject.group)},
        episode=episode,
        state=state,
        severity=severity,
        value=Decimal(usd_text(row_amount(subject.spent_pico))),
        limit=Decimal(usd_text(subject.limit_pico)),
        payload=msgspec.Raw(msgspec.json.encode(payload)),
        created_us=subject.now_us,
    )
