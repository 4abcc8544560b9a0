"""Convert bodies of alert rules to records, and records to responses."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any, Final

import msgspec

from producers.alerting.metrics.silence import SILENCE
from producers.alerting.registry import METRICS
from producers.alerting.validation import evaluation_fault, fault_of
from producers.control.kinds.alert_rule import AlertRule
from producers.dimensions.dimension import as_is
from producers.dimensions.registry import REGISTRY
from query_api.alerting.rule_bodies import (
    DAY,
    AlertRuleBody,
    AlertRuleChange,
    AnomalyBody,
    Window,
)
from query_api.durations import duration_text
from query_api.errors import BadRequestError
from query_api.times import iso

ANOMALY_THRESHOLD: Final = "5"
"""Default threshold of rules with ``anomaly``, in median absolute deviations."""


class AlertRuleOut(msgspec.Struct, kw_only=True, rename={"for_": "for"}):
    id: str
    name: str
    description: str
    enabled: bool
    shadow: bool
    metric: str
    unit: str | None
    filter: dict[str, list[str]]
    group_by: list[str]
    comparison: str
    threshold: float | str
    """A decimal string for US dollars, otherwise a number."""
    recovery_threshold: float | str | None
    window: str
    time_zone: str
    min_count: int
    for_: str
    keep_firing_for: str
    renotify_interval: str
    no_data: str
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    inhibited_by: list[str]
    compare_with: str | None
    anomaly: dict[str, Any] | None
    version: int
    author: str
    """Public key of the API key that made the last change."""
    created_at: str
    updated_at: str
    fault: str | None
    """Why the rule cannot be evaluated, if another version created it; otherwise null."""


def new_rule(project_id: str, body: AlertRuleBody, at_us: int) -> AlertRule:
    """Return the rule that a body describes.

    Raises:
        BadRequestError: it cannot be evaluated.
    """
    return _checked(
        AlertRule(
            id=f"rule_{secrets.token_hex(12)}",
            project_id=project_id,
            created_us=at_us,
            updated_us=at_us,
            **_fields_of(body),
        )
    )


def replaced_rule(rule: AlertRule, body: AlertRuleBody, at_us: int) -> AlertRule:
    """Return the next version of a rule, with all fields of a body. Raises like ``new_rule``."""
    identity = {"id": rule.id, "project_id": rule.project_id, "created_us": rule.created_us}
    return _checked(
        AlertRule(
            **identity,
            updated_us=max(at_us, rule.updated_us),
            version=rule.version + 1,
            **_fields_of(body),
        )
    )


def changed_rule(rule: AlertRule, change: AlertRuleChange, at_us: int) -> AlertRule:
    """Return the next version of a rule, with those fields that are in a body.

    Raises like ``new_rule``.
    """
    given = {name: getattr(change, name) for name in change.model_fields_set}
    body = _body_of(rule).model_copy(update=given)
    return replaced_rule(rule, body, at_us)


def _body_of(rule: AlertRule) -> AlertRuleBody:
    return AlertRuleBody.model_construct(
        name=rule.name,
        description=rule.description,
        enabled=rule.enabled,
        shadow=rule.shadow,
        metric=rule.metric,
        filter={name: list(values) for name, values in rule.filter.items()},
        group_by=list(rule.group_by),
        comparison=rule.comparison,
        threshold=rule.threshold,
        recovery_threshold=rule.recovery_threshold,
        window=Window(rule.window_s, is_day=bool(rule.calendar)),
        time_zone=rule.time_zone,
        min_count=rule.min_count,
        for_s=rule.for_s,
        keep_firing_for=rule.keep_firing_for_s,
        renotify_interval=rule.renotify_interval_s,
        no_data=rule.no_data,
        severity=rule.severity,
        labels=rule.labels,
        annotations=rule.annotations,
        inhibited_by=list(rule.inhibited_by),
        compare_with=rule.compare_with or None,
        anomaly=None if rule.anomaly is None else AnomalyBody(**rule.anomaly.model_dump()),
    )


def _fields_of(body: AlertRuleBody) -> dict[str, Any]:
    metric = METRICS.get(body.metric)
    window: Window = body.window
    is_calendar = window.is_day and metric is not None and metric.is_calendar
    compared = body.compare_with is not None or body.anomaly is not None
    return {
        "name": body.name,
        "description": body.description,
        "enabled": body.enabled,
        "shadow": body.shadow,
        "metric": body.metric,
        "filter": _normal_filter(body.filter),
        "group_by": tuple(body.group_by),
        "comparison": body.comparison,
        "threshold": _threshold(body),
        "recovery_threshold": body.recovery_threshold,
        "window_s": window.seconds,
        "calendar": "day" if is_calendar and not compared else "",
        "time_zone": body.time_zone,
        "min_count": body.min_count,
        "for_s": body.for_s,
        "keep_firing_for_s": body.keep_firing_for,
        "renotify_interval_s": body.renotify_interval,
        "no_data": body.no_data,
        "severity": body.severity,
        "labels": body.labels,
        "annotations": body.annotations,
        "inhibited_by": tuple(body.inhibited_by),
        "compare_with": body.compare_with or "",
        "anomaly": None if body.anomaly is None else body.anomaly.model_dump(),
    }


def _threshold(body: AlertRuleBody) -> str:
    """Return the threshold, or its default where there is one."""
    window: Window = body.window
    if body.metric == SILENCE and body.threshold in {None, "0"}:
        return str(window.seconds)
    if body.threshold is not None:
        return body.threshold
    if body.anomaly is not None:
        return ANOMALY_THRESHOLD
    raise BadRequestError("threshold: required", field="threshold")


def _normal_filter(given: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Return values in the form of stored events, such as environments in lower case."""
    known = {each.name: each for each in REGISTRY.all()}
    found = {}
    for name, values in given.items():
        normal_form = known[name].normal_form if name in known else as_is
        allowed = known[name].values if name in known else ()
        found[name] = tuple(
            dict.fromkeys(_in_case(_normal(normal_form(each), each), allowed) for each in values)
        )
    return found


def _in_case(given: str, allowed: Collection[str]) -> str:
    """Return an allowed value that differs only in case, such as that of a type."""
    return next((each for each in allowed if each.lower() == given.lower()), given)


def _normal(normal: str, given: str) -> str:
    """Return the normal form if it differs only in case; otherwise validation reports the value."""
    return normal if normal == given.lower() else given


def _checked(rule: AlertRule) -> AlertRule:
    fault = fault_of(rule)
    if fault is not None:
        message = f"{fault.field}: {fault.message}"
        raise BadRequestError(message, field=fault.field, allowed=fault.allowed)
    return rule


def shown_rule(rule: AlertRule) -> AlertRuleOut:
    """Return the response that describes a rule."""
    metric = METRICS.get(rule.metric)
    fault = evaluation_fault(rule)
    return AlertRuleOut(
        id=rule.id,
        name=rule.name,
        description=rule.description,
        enabled=rule.enabled,
        shadow=rule.shadow,
        metric=rule.metric,
        unit=None if metric is None else metric.unit,
        filter={name: list(values) for name, values in rule.filter.items()},
        group_by=list(rule.group_by),
        comparison=rule.comparison,
        threshold=amount_shown(rule, rule.threshold),
        recovery_threshold=(
            None if rule.recovery_threshold is None else amount_shown(rule, rule.recovery_threshold)
        ),
        window=DAY if rule.calendar == "day" else _window_text(rule.window_s),
        time_zone=rule.time_zone,
        min_count=rule.min_count,
        for_=duration_text(rule.for_s),
        keep_firing_for=duration_text(rule.keep_firing_for_s),
        renotify_interval=duration_text(rule.renotify_interval_s),
        no_data=rule.no_data,
        severity=rule.severity,
        labels=rule.labels,
        annotations=rule.annotations,
        inhibited_by=list(rule.inhibited_by),
        compare_with=rule.compare_with or None,
        anomaly=None if rule.anomaly is None else rule.anomaly.model_dump(),
        version=rule.version,
        author=rule.author,
        created_at=iso(rule.created_us),
        updated_at=iso(rule.updated_us or rule.created_us),
        fault=None if fault is None else f"{fault.field}: {fault.message}",
    )


def _window_text(window_s: int) -> str:
    """Return a sliding window, whose longest one is 24h to distinguish it from the day."""
    return "24h" if window_s == 24 * 3_600 else duration_text(window_s)


def amount_shown(rule: AlertRule, text: str) -> Any:
    """Return a threshold for JSON: US dollars as a decimal string, others as a number."""
    metric = METRICS.get(rule.metric)
    is_money = metric is not None and metric.unit == "USD"
    compared = bool(rule.compare_with) or rule.anomaly is not None
    if is_money and not compared:
        return text
    return msgspec.Raw(text.encode())
