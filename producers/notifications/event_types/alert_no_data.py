"""``alert.no_data``: a group of an alert rule has no data, and the rule reports that."""

from __future__ import annotations

from producers.notifications.rule_change import RuleEvent

__all__ = ["AlertNoData"]


class AlertNoData(RuleEvent):
    """The event type ``alert.no_data``."""

    name = "alert.no_data"
