"""``alert.resolved``: a firing group of an alert rule has recovered."""

from __future__ import annotations

from producers.notifications.rule_change import RuleEvent

__all__ = ["AlertResolved"]


class AlertResolved(RuleEvent):
    """The event type ``alert.resolved``."""

    name = "alert.resolved"
