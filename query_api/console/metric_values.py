"""Format values of the metrics of alert rules."""

from __future__ import annotations

from typing import Any

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from query_api.console.formats import DASH, Formats
from query_api.console.optional import Optional
from query_api.money import PICO_PER_USD

DECIMALS = 4


def unit_of(metric: str, *, is_compared: bool = False) -> str:
    """Return the unit of a metric; empty if it is unknown, or a value is a multiple of another."""
    known = METRICS.get(metric)
    return "" if known is None or is_compared else known.unit


def is_compared(rule: AlertRule) -> bool:
    """Return whether a rule compares multiples or deviations, which have no unit."""
    return bool(rule.compare_with) or rule.anomaly is not None


def shown_amount(formats: Formats, unit: str, value: Any) -> str:
    """Return a value in its unit. It is a number or a decimal string; None is a dash."""
    if value is None:
        return DASH
    number = float(value)
    match unit:
        case "s":
            return formats.duration(number * 1_000_000)
        case "ratio":
            return formats.percent(number)
        case "USD":
            return formats.usd(round(number * PICO_PER_USD))
        case _:
            return formats.number(round(number, DECIMALS))


def amount_of_alert(formats: Formats, each: Optional, name: str) -> str:
    """Return the ``value`` or the ``threshold`` of an alert in the unit of its metric."""
    if each["budget_id"] is not None:
        return formats.usd_text(each["spent_usd" if name == "value" else "limit_usd"])
    return shown_amount(formats, unit_of(each["metric"] or ""), each[name])
