"""``alert.firing``: a group of an alert rule met its condition for long enough."""

from __future__ import annotations

from producers.notifications.rule_change import RuleEvent

__all__ = ["AlertFiring"]


class AlertFiring(RuleEvent):
    """The event type ``alert.firing``; it is repeated at the rule's ``renotify_interval``."""

    name = "alert.firing"
