"""Create alerts that test the notifications of a rule."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from producers.alerting.annotations import compared_as, rendered, sample_values, values_of
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.alert_test import AlertTest
from producers.notifications.alert import Alert
from producers.notifications.rule_change import RuleChange

RULE_KIND: Final = "alert_rule"
_SECOND_US: Final = 1_000_000


def trial_alert_id(test: AlertTest) -> str:
    """Return the id of the alert of a request, which a repeated attempt does not change."""
    return hashlib.blake2b(f"{test.project_id}/{test.id}".encode(), digest_size=16).hexdigest()


def alert_of_test(test: AlertTest, rule: AlertRule) -> Alert:
    """Return the alert of a request: its value is the threshold, its group has sample values."""
    group: dict[str, str] = sample_values(rule)["group"]
    window_us = (test.created_us - rule.window_s * _SECOND_US, test.created_us)
    reason = f"a test{' by ' + test.author if test.author else ''}"
    state = test.event.removeprefix("alert.")
    values: dict[str, Any] = values_of(
        rule,
        state=state,
        value=rule.threshold_value,
        group=group,
        window_us=window_us,
        exemplars=(),
        reason=reason,
    )
    change = RuleChange(
        metric=rule.metric,
        group=group,
        comparison=rule.comparison,
        compared_as=compared_as(rule),
        window_start_us=window_us[0],
        window_end_us=window_us[1],
        annotations=rendered(rule, values),
        reason=reason,
        rule_version=rule.version,
        test=True,
    )
    alert_id = trial_alert_id(test)
    return Alert(
        project_id=test.project_id,
        id=alert_id,
        event=test.event,
        rule_kind=RULE_KIND,
        rule_id=rule.id,
        name=rule.name,
        labels=dict(rule.labels),
        episode=alert_id,
        state=state,
        severity=rule.severity,
        value=None if test.event == "alert.no_data" else rule.threshold_value,
        limit=rule.threshold_value,
        payload=msgspec.Raw(msgspec.json.encode(change)),
        created_us=test.created_us,
    )
