"""Render the annotations of a rule with the values of an alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from producers.alerting import templates
from producers.alerting.metric import Unit
from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.event_type import iso_time
from producers.notifications.wording import unit_compared

_SAMPLE_VALUE: Final = "sample"
_SAMPLE_US: Final = 1_700_000_000_000_000
_UNITS: Final[dict[Unit, str]] = {
    "s": "s",
    "ratio": "",
    "USD": "USD",
    "count": "",
    "tokens": "tokens",
    "per_s": "per second",
    "tokens_per_s": "tokens per second",
    "score": "",
}


def compared_as(rule: AlertRule) -> str:
    """Return the unit of values that are compared with earlier ones; empty: that of the metric."""
    return unit_compared(rule.compare_with, rule.anomaly)


def values_of(
    rule: AlertRule,
    *,
    state: str,
    value: Decimal | None,
    group: Mapping[str, str],
    window_us: tuple[int, int],
    exemplars: Sequence[str],
    reason: str,
) -> dict[str, Any]:
    """Return the values of an alert by their names in templates.

    ``value`` is 0 if there is no data.
    """
    start_us, end_us = window_us
    metric = METRICS.get(rule.metric)
    return {
        "value": Decimal(0) if value is None else value.normalize(),
        "threshold": rule.threshold_value.normalize(),
        "unit": compared_as(rule) or ("" if metric is None else _UNITS[metric.unit]),
        "metric": rule.metric,
        "comparison": rule.comparison,
        "state": state,
        "severity": rule.severity,
        "rule": {"id": rule.id, "name": rule.name, "description": rule.description},
        "group": dict(group),
        "labels": dict(rule.labels),
        "window": {
            "start": iso_time(start_us),
            "end": iso_time(end_us),
            "seconds": (end_us - start_us) // 1_000_000,
        },
        "exemplars": list(exemplars),
        "reason": reason,
    }


def rendered(rule: AlertRule, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations; one that cannot be rendered has the error as its text."""
    found = {}
    for name, template in rule.annotations.items():
        try:
            found[name] = templates.render(template, values)
        except ValueError as error:
            found[name] = f"(the template does not render: {error})"
    return found


def sample_values(rule: AlertRule) -> dict[str, Any]:
    """Return values with which templates are tried when a rule is created."""
    metric = METRICS.get(rule.metric)
    dimensions = (*rule.group_by, *(() if metric is None else metric.group))
    return values_of(
        rule,
        state="firing",
        value=rule.threshold_value,
        group=dict.fromkeys(dimensions, _SAMPLE_VALUE),
        window_us=(_SAMPLE_US - rule.window_s * 1_000_000, _SAMPLE_US),
        exemplars=["0af7651916cd43dd8448eb211c80319c"],
        reason="a sample",
    )
