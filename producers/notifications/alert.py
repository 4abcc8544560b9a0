"""Defines the generic alert: what a rule found, whatever kind of rule it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a rule. The same finding has the same id, so that a replay repeats no alert."""

    project_id: str
    id: str
    """A hash of what makes the alert unique; also the ``webhook-id`` of its deliveries."""
    event: str
    """Name of the notification event, such as ``budget.threshold_crossed``."""
    rule_kind: str
    """Kind of the rule, such as ``budget``."""
    rule_id: str
    name: str
    """Name of the rule when the alert was made."""
    labels: dict[str, str] = {}
    """What the alert is about: the values of the rule's scope."""
    episode: str
    """Joins the alerts of one occurrence: a budget's period, a rule's firing until it resolves."""
    state: str = "firing"
    severity: Severity = "warning"
    value: Decimal | None = None
    """The measured value: dollars, seconds or a ratio; exact."""
    limit: Decimal | None = None
    """What the rule compares the value with."""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    """JSON of the event type's own struct."""
    created_us: int
    version: int = 1
