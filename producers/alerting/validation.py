"""Find what makes an alert rule impossible to evaluate.

The API refuses such rules. A rule of another version, whose metric or dimensions this version does
not have, has the state ``error`` in the stream processors, with the same message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from producers.alerting import templates
from producers.alerting.annotations import sample_values
from producers.alerting.metric import Metric
from producers.alerting.registry import METRICS, Metrics
from producers.alerting.scores import condition_fault
from producers.control.kinds.alert_rule import (
    DAY_S,
    TEMPLATE_CHARS_MAX,
    WINDOW_MAX_S,
    WINDOW_MIN_S,
    AlertRule,
)
from producers.control.periods import zone_of
from producers.dimensions.dimension import as_is
from producers.dimensions.registry import REGISTRY

_SHOWN_MAX: Final = 64
VALUE_MAX: Final = Decimal(10) ** 15
DECIMALS_MAX: Final = 12
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NAME_IN_WORDS: Final = "1 to 64 letters (a-z), digits and _, not beginning with a digit,"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field, and what is allowed; ``field`` is its path in the API."""

    field: str
    message: str
    allowed: tuple[str, ...] = ()


def fault_of(rule: AlertRule, metrics: Metrics = METRICS) -> Fault | None:
    """Return the first fault of a rule, also one of its templates; None if it has none."""
    fault = evaluation_fault(rule, metrics)
    return fault if fault is not None else next(_templates(rule), None)


def evaluation_fault(rule: AlertRule, metrics: Metrics = METRICS) -> Fault | None:
    """Return why a rule cannot be evaluated; None if it can."""
    metric = metrics.get(rule.metric)
    if metric is None:
        return _unknown("metric", rule.metric, tuple(metrics))
    return next((fault for check in _CHECKS for fault in check(rule, metric)), None)


def _dimensions(rule: AlertRule, metric: Metric) -> Iterator[Fault]:
    allowed = metric.dimensions()
    filters = (*allowed, *metric.filters)
    for name in rule.filter:
        if name not in filters:
            yield _unknown(f"filter.{name[:_SHOWN_MAX]}", name, filters)
    for index, name in enumerate(rule.group_by):
        if name not in allowed:
            yield _unknown(f"group_by.{index}", name, allowed)
    if len(set(rule.group_by)) != len(rule.group_by):
        yield Fault("group_by", "a dimension appears twice")
    used = (*rule.filter, *rule.group_by)
    if metric.source_for(used) is None:
        sources = "; or ".join(
            ", ".join((*metric.dimensions_of(source), *(metric.filters if not index else ())))
            for index, source in enumerate(metric.sources)
        )
        field = "filter" if rule.filter else "group_by"
        message = f"{', '.join(used)} cannot be combined for {metric.name}; allowed: {sources}"
        yield Fault(field, message)


def _filter_values(rule: AlertRule, _metric: Metric) -> Iterator[Fault]:
    """Refuse values that no stored event has."""
    for dimension in REGISTRY.all() if rule.filter else ():
        for index, value in enumerate(rule.filter.get(dimension.name, ())):
            field = f"filter.{dimension.name}.{index}"
            if len(value) > dimension.chars_max:
                yield Fault(field, f"at most {dimension.chars_max} characters are allowed")
            elif dimension.values and value not in dimension.values:
                yield _unknown(field, value, dimension.values)
            elif dimension.normal_form is not as_is and dimension.normal_form(value) != value:
                normal = dimension.normal_form(value)
                given = repr(value[:_SHOWN_MAX])
                yield Fault(field, f"{given} is not allowed; events with it have {normal!r}")


def _score_values(rule: AlertRule, _metric: Metric) -> Iterator[Fault]:
    for index, value in enumerate(rule.filter.get("score_value", ())):
        fault = condition_fault(value)
        if fault:
            yield Fault(f"filter.score_value.{index}", fault)


def _thresholds(rule: AlertRule, metric: Metric) -> Iterator[Fault]:
    for field, text in (
        ("threshold", rule.threshold),
        ("recovery_threshold", rule.recovery_threshold),
    ):
        if text is None:
            continue
        number = Decimal(text)
        lowest, highest = _range(rule, metric)
        if lowest is not None and number < lowest:
            yield Fault(field, f"{text} is not allowed; {lowest} or more is expected")
        elif highest is not None and number > highest:
            yield Fault(
                field,
                f"{text} is not allowed; {rule.metric} is a share from 0 to {highest}"
                f" (10 % is 0.1)",
            )
        elif abs(number) > VALUE_MAX or number != round(number, DECIMALS_MAX):
            yield Fault(
                field, f"at most {VALUE_MAX:f} with {DECIMALS_MAX} decimals is allowed, not {text}"
            )
    yield from _recovery(rule)


def _range(rule: AlertRule, metric: Metric) -> tuple[Decimal | None, Decimal | None]:
    """Return the lowest and the highest threshold."""
    if rule.anomaly is not None or rule.compare_with:
        return Decimal(0), None
    return metric.lowest, metric.highest


def _recovery(rule: AlertRule) -> Iterator[Fault]:
    threshold, recovery = rule.threshold_value, rule.recovery_value
    if rule.comparison in {">", ">="} and recovery > threshold:
        message = f"must be at most the threshold ({rule.threshold}) for {rule.comparison}"
        yield Fault("recovery_threshold", message)
    if rule.comparison in {"<", "<="} and recovery < threshold:
        message = f"must be at least the threshold ({rule.threshold}) for {rule.comparison}"
        yield Fault("recovery_threshold", message)


def _window(rule: AlertRule, metric: Metric) -> Iterator[Fault]:
    if rule.calendar and not metric.is_calendar:
        allowed = ", ".join(each.name for each in METRICS.values() if each.is_calendar)
        yield Fault(
            "window", f"calendar days are allowed only for {allowed}, not for {metric.name}"
        )
    elif not rule.calendar and not WINDOW_MIN_S <= rule.window_s <= WINDOW_MAX_S:
        yield Fault("window", f"{WINDOW_MIN_S}s to {WINDOW_MAX_S // DAY_S}d is allowed")
    try:
        zone_of(rule.time_zone)
    except ValueError:
        yield Fault(
            "time_zone",
            f"unknown time zone {rule.time_zone[:_SHOWN_MAX]!r}; it must be an IANA name such as"
            " Europe/Berlin",
        )


def _modes(rule: AlertRule, metric: Metric) -> Iterator[Fault]:
    if rule.compare_with and rule.anomaly is not None:
        yield Fault("anomaly", "cannot be combined with compare_with")
    for field, is_set in (
        ("compare_with", bool(rule.compare_with)),
        ("anomaly", rule.anomaly is not None),
    ):
        if not is_set:
            continue
        if metric.aggregate in {"each", "silence"}:
            yield Fault(field, f"{metric.name} has no earlier windows to compare with")
        elif not metric.has_earlier or (
            metric.source_for((*rule.filter, *rule.group_by)) != "windows"
        ):
            yield _without_earlier_windows(rule, metric, field)
        elif rule.calendar:
            yield Fault(field, "calendar windows cannot be compared; use a window of at most 24h")
    if metric.aggregate == "each" and rule.group_by:
        yield Fault("group_by", f"{metric.name} compares single rows, which are not grouped")
    if metric.name == "score_share" and "score_value" not in rule.filter:
        yield Fault(
            "filter.score_value", f"required for {metric.name}: the values whose share is computed"
        )


def _without_earlier_windows(rule: AlertRule, metric: Metric, field: str) -> Fault:
    """Return the fault of a rule whose earlier windows are not stored."""
    if "windows" not in metric.sources or not metric.has_earlier:
        return Fault(field, f"the earlier windows of {metric.name} are not stored")
    allowed = metric.dimensions_of("windows")
    name = next(each for each in (*rule.filter, *rule.group_by) if each not in allowed)
    message = (
        f"cannot be combined with {name}, by which earlier windows are not stored; allowed in"
        f" filter and group_by: {', '.join(allowed)}"
    )
    return Fault(field, message, allowed)


def _names(rule: AlertRule, _metric: Metric) -> Iterator[Fault]:
    for field, named in (("labels", rule.labels), ("annotations", rule.annotations)):
        for name in named:
            if not _NAME.fullmatch(name):
                message = f"{name[:_SHOWN_MAX]!r} is not allowed; {_NAME_IN_WORDS} are expected"
                yield Fault(f"{field}.{name[:_SHOWN_MAX]}", message)


def _templates(rule: AlertRule) -> Iterator[Fault]:
    values = sample_values(rule)
    for name, template in rule.annotations.items():
        field = f"annotations.{name}"
        if len(template) > TEMPLATE_CHARS_MAX:
            yield Fault(
                field, f"at most {TEMPLATE_CHARS_MAX} characters are allowed, not {len(template)}"
            )
            continue
        try:
            templates.check_names(template, values)
            templates.render(template, values)
        except ValueError as error:
            names = tuple(values)
            message = f"the template does not render: {error}; it can use {', '.join(names)}"
            yield Fault(field, message, names)


def _unknown(field: str, given: str, allowed: tuple[str, ...]) -> Fault:
    message = f"{given[:_SHOWN_MAX]!r} is not allowed; allowed: {', '.join(allowed)}"
    return Fault(field, message, allowed)


_CHECKS: Final[tuple[Callable[[AlertRule, Metric], Iterator[Fault]], ...]] = (
    _dimensions,
    _filter_values,
    _score_values,
    _thresholds,
    _window,
    _modes,
    _names,
)
