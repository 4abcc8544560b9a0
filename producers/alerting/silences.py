"""Decide whether a silence applies to an alert at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.silence import WEEKDAYS, Matcher, Recurring, Silence
from producers.control.periods import zone_of
from producers.model_patterns import ModelPattern

__all__ = ["is_active", "is_silenced", "labels_of", "matches"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def labels_of(rule: AlertRule, group: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that matchers and routes see.

    These are the rule's labels, the dimensions of the group, and ``rule_id``, ``rule_name``,
    ``metric`` and ``severity``; of equal names, the later one counts.
    """
    return {
        **rule.labels,
        **group,
        "rule_id": rule.id,
        "rule_name": rule.name,
        "metric": rule.metric,
        "severity": rule.severity,
    }


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether all matchers match; a label that does not exist is empty."""
    return all(_matches(each, labels.get(each.name, "")) for each in matchers)


def is_silenced(silence: Silence, labels: Mapping[str, str], at_us: int) -> bool:
    """Return whether a silence is active at a time and matches."""
    return is_active(silence, at_us) and matches(silence.matchers, labels)


def is_active(silence: Silence, at_us: int) -> bool:
    """Return whether a time is within a silence and its recurring hours."""
    if at_us < silence.starts_us or (silence.ends_us is not None and at_us >= silence.ends_us):
        return False
    return silence.recurring is None or _is_in_hours(silence.recurring, at_us)


def _is_in_hours(recurring: Recurring, at_us: int) -> bool:
    try:
        local = (_EPOCH + at_us * _MICROSECOND).astimezone(zone_of(recurring.time_zone))
    except (ValueError, OverflowError):  # a zone that this machine does not know
        return False
    minute = local.hour * 60 + local.minute
    today = WEEKDAYS[local.weekday()] in recurring.days
    start, end = recurring.start_minute, recurring.end_minute
    if start < end:
        return today and start <= minute < end
    yesterday = WEEKDAYS[local.weekday() - 1] in recurring.days
    return (today and minute >= start) or (yesterday and minute < end)


def _matches(matcher: Matcher, value: str) -> bool:
    if matcher.op == "=":
        return value == matcher.value
    if matcher.op == "!=":
        return value != matcher.value
    return compiled(matcher.value).matches(value) == (matcher.op == "=~")


@lru_cache(maxsize=4_096)
def compiled(pattern: str) -> ModelPattern:
    """Return the pattern of a matcher, which must match the whole value.

    Raises:
        ValueError: the pattern is too long, too complex, or not a regular expression of RE2.
    """
    ModelPattern(pattern, "part")  # otherwise a pattern such as "a)|(b" would leave the group
    return ModelPattern(rf"\A(?:{pattern})\z", "part")
