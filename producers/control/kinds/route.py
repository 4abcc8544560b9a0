"""Routes: which alerts a channel receives, and how they are grouped."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from producers.control.record import Identifier, Microseconds, ProjectRecord

LABELS_MAX = 20
VALUES_MAX = 50
CHANNELS_MAX = 20
GROUP_BY_MAX = 10
INTERVAL_MAX_S = 30 * 86_400


class Route(ProjectRecord):
    """Conditions on alerts, and the channels that receive those that meet all of them."""

    kind = "route"
    per_project_max = 100

    name: str = Field(min_length=1, max_length=255)
    events: tuple[str, ...] = Field((), max_length=VALUES_MAX)
    """Condition: the event is one of these; empty: any. So are the following ones."""
    severities: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = Field((), max_length=VALUES_MAX)
    labels: dict[str, tuple[str, ...]] = Field(default={}, max_length=LABELS_MAX)
    """Condition: each label has one of the values."""
    channel_ids: tuple[Identifier, ...] = Field(min_length=1, max_length=CHANNELS_MAX)
    group_by: tuple[str, ...] = Field(("rule_id",), max_length=GROUP_BY_MAX)
    """Alerts with the same values of these labels are in one message."""
    group_wait_s: float = Field(10.0, ge=0, le=INTERVAL_MAX_S)
    """Pause before the first message about a group, which collects further alerts."""
    group_interval_s: float = Field(300.0, ge=0, le=INTERVAL_MAX_S)
    """Minimum pause between two messages about changes of a group."""
    repeat_interval_s: float = Field(14_400.0, ge=0, le=INTERVAL_MAX_S)
    """Pause after which a group that still fires is reported again; 0: never."""
    created_us: Microseconds
    disabled: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels of an alert meet all conditions."""
        return (
            not self.disabled
            and (not self.events or labels.get("event") in self.events)
            and (not self.severities or labels.get("severity") in self.severities)
            and (not self.rule_ids or labels.get("rule_id") in self.rule_ids)
            and all(labels.get(name, "") in values for name, values in self.labels.items())
        )
