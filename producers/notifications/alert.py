"""Define alerts, which are the same for all kinds of rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a rule. Its id depends only on its cause, so that a replay repeats no alert."""

    project_id: str
    id: str
    """A hash of what identifies the alert; also the ``webhook-id`` of its deliveries."""
    event: str
    """Name of the notification event, such as ``budget.threshold_crossed``."""
    rule_kind: str
    """Kind of the rule, such as ``budget``."""
    rule_id: str
    name: str
    """Name of the rule when the alert was created."""
    labels: dict[str, str] = {}
    """Values of the rule's scope."""
    episode: str
    """Id that is common to the alerts of one budget period, or of one firing of a rule."""
    state: str = "firing"
    severity: Severity = "warning"
    value: Decimal | None = None
    """The measured value, exact: dollars, seconds or a ratio."""
    limit: Decimal | None = None
    """The limit that the value is compared with."""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    """JSON of the event type's payload struct."""
    created_us: int
    version: int = 1
