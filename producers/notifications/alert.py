"""Define alerts, independent of the kind of rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a rule. Its id depends on its cause only, so that a replay repeats no alert."""

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
    """Values of the rule's scope."""
    episode: str
    """Groups the alerts of one period of a budget, or of one firing of a rule until it resolves."""
    state: str = "firing"
    severity: Severity = "warning"
    value: Decimal | None = None
    """The measured value: dollars, seconds or a ratio; exact."""
    limit: Decimal | None = None
    """The limit that the value is compared with."""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    """JSON of the event type's payload struct."""
    created_us: int
    version: int = 1
