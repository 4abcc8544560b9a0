"""Fold a rule about single rows over rows of the past, with the code that evaluates it live."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from producers.alerting.registry import METRICS
from producers.control.kinds.alert_rule import AlertRule
from streams.core.alerting.backtest import Backtest
from streams.core.alerting.rules.measures import decimal_of
from streams.core.alerting.rules.row_rules import RowRule, RowRules
from streams.core.alerting.rules.rule import SECOND_US
from streams.core.alerting.rules.suppression import Suppressions

POINTS_MAX: Final = 1_000
"""Maximum number of values in the series: the rows that meet the condition, oldest first."""


def backtest_rows(
    rule: AlertRule,
    rows: Iterable[Any],
    from_s: int,
    to_s: int,
    *,
    alerts_max: int,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Backtest:
    """Evaluate a rule on rows of traces or observations.

    Args:
        rule: the rule; it is treated as enabled, and as created before the range.
        rows: rows that end in the range, in the order of their ends.
        from_s: start of the range, in seconds since the epoch.
        to_s: end of the range, exclusive.
        alerts_max: limit of alerts that are firing at the same time.
        is_cancelled: whether to give up; it is called for each row.
    """
    record = rule.model_copy(update={"created_us": 0, "updated_us": 0, "enabled": True})
    compared = RowRule.of(record)
    suppressions = Suppressions()
    rules = RowRules(lambda _: suppressions, alerts_max)
    rules.put(record, METRICS, 0)
    found = Backtest()
    points = found.series[()] = []
    keep_us = (record.keep_firing_for_s or record.window_s) * SECOND_US
    ends_us: deque[int] = deque()

    def pass_time(to_us: int) -> None:
        while ends_us and ends_us[0] <= to_us:
            rules.episodes.pass_time(ends_us.popleft())
            found.alerts += rules.take_alerts()

    for row in rows:
        at_us = ended_us(row)
        if is_cancelled():
            break
        if not from_s * SECOND_US <= at_us < to_s * SECOND_US:
            continue
        pass_time(at_us)
        rules.evaluate(compared.source, row, at_us)
        alerts = rules.take_alerts()
        rules.episodes.take_states()
        if alerts:
            found.alerts += alerts
            ends_us.append(at_us + keep_us)
            if len(points) < POINTS_MAX:
                points.append((at_us // SECOND_US, decimal_of(compared.value_of(row))))
    pass_time(to_s * SECOND_US - 1)
    return found


def ended_us(row: Any) -> int:
    """Return the time when a row is complete: its end, or its start if that is later."""
    return int(max(row.start_us, row.end_us))
