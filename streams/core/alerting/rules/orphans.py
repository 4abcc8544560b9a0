"""Resolve the episodes of rules that were deleted or changed while no worker was running."""

from __future__ import annotations

from typing import Final

import msgspec

from producers.notifications.alert import Alert
from producers.notifications.rule_change import RuleChange
from streams.core.alerting.rules.machine import RESOLVED, alert_id

REASON: Final = "the rule was deleted or changed"


class Orphans:
    """The open episodes of groups that no rule has, by rule and group."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[Alert, RuleChange]] = {}

    def add(self, alert: Alert, change: RuleChange) -> None:
        """Add an alert of such a group; alerts must be passed in the order of the log."""
        key = (alert.rule_id, msgspec.json.encode(change.group, order="sorted").decode())
        if alert.state == RESOLVED:
            self._open.pop(key, None)
        else:
            self._open[key] = (alert, change)

    def take(self, now_us: int) -> list[Alert]:
        """Return the alerts that resolve them."""
        found, self._open = self._open, {}
        return [_resolved(alert, change, now_us) for alert, change in found.values()]


def _resolved(alert: Alert, change: RuleChange, now_us: int) -> Alert:
    ended = msgspec.structs.replace(change, sequence=change.sequence + 1, reason=REASON)
    return msgspec.structs.replace(
        alert,
        id=alert_id(alert.episode, "alert.resolved", ended.sequence),
        event="alert.resolved",
        state=RESOLVED,
        payload=msgspec.Raw(msgspec.json.encode(ended)),
        created_us=now_us,
    )
