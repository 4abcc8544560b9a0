"""Format values of the metrics of alert rules."""

from __future__ import annotations

from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any, Final

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from producers.notifications.rule_texts import OR_MORE, condition_sentence
from producers.sentences import Sentence
from query_api.console.formats import DASH, Formats
from query_api.console.optional import Optional
from query_api.money import PICO_PER_USD
from query_api.times import SECOND_US, instant_us

DECIMALS = 4
_MEETS: Final = {">": gt, ">=": ge, "<": lt, "<=": le}


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
            return formats.exact_percent(number)
        case "USD":
            return formats.usd(round(number * PICO_PER_USD))
        case _:
            return formats.number(round(number, DECIMALS))


def amount_of_alert(formats: Formats, each: Optional, name: str) -> str:
    """Return the ``value`` or the ``threshold`` of an alert in the unit of its metric."""
    if each["budget_id"] is not None:
        return formats.usd_text(each["spent_usd" if name == "value" else "limit_usd"])
    return shown_amount(formats, each["unit"] or "", each[name])


def told_of(each: Optional) -> Sentence | None:
    """Return the sentence of an alert's present value, whose values pages show in their format.

    None: only its reason tells what happened, such as that the rule was deleted.
    """
    metric = METRICS.get(each["metric"] or "")
    reason = each["reason"] or ""
    if metric is None or each["unit"] != metric.unit or not reason.startswith(f"{metric.label} "):
        return None
    value, threshold = (
        None if each[name] is None else Decimal(str(each[name])) for name in ("value", "threshold")
    )
    is_met = value is None or threshold is None or _MEETS[each["comparison"]](value, threshold)
    return condition_sentence(
        metric.name,
        value,
        each["comparison"],
        threshold,
        unit=metric.unit,
        window=DASH if metric.aggregate not in ("each", "silence") else "",
        is_ended=not is_met,
        is_lower_bound=OR_MORE in reason,
    )


def window_of(formats: Formats, each: Optional) -> str:
    """Return the length of an alert's window, in the largest unit of which it is a multiple."""
    if not each["window_start"] or not each["window_end"]:
        return DASH
    length_us = instant_us(each["window_end"]) - instant_us(each["window_start"])
    _, s, minutes, h = formats.duration_units
    for size_us, unit in ((3_600 * SECOND_US, h), (60 * SECOND_US, minutes), (SECOND_US, s)):
        if length_us and length_us % size_us == 0:
            return f"{length_us // size_us} {unit}"
    return formats.duration(length_us)
