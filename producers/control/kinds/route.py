"""Routes: which alerts a channel receives, and how they are grouped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from producers.control.record import Identifier, Microseconds, ProjectRecord

LABELS_MAX = 20
VALUES_MAX = 50
CHANNELS_MAX = 20
GROUP_BY_MAX = 10
INTERVAL_MAX_S = 30 * 86_400
EARLIER_MAX = 10
"""Maximum number of changes of conditions that are remembered."""
EARLIER_CHARS_MAX = 100_000
"""Maximum size of the remembered conditions as JSON; a record must fit into the control log."""
EARLIER_AGE_MAX_US = 7 * 86_400_000_000
"""Age of alerts that are read again after a restart."""


class RouteConditions(BaseModel):
    """Which alerts a route selects, the channels that receive them, and how they are grouped."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    events: tuple[str, ...] = Field((), max_length=VALUES_MAX)
    """Condition: the event is one of these; empty: any. So are the following ones."""
    severities: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = Field((), max_length=VALUES_MAX)
    labels: dict[str, tuple[str, ...]] = Field(default={}, max_length=LABELS_MAX)
    """Condition: each label has one of the values."""
    channel_ids: tuple[Identifier, ...] = Field(min_length=1, max_length=CHANNELS_MAX)
    group_by: tuple[str, ...] = Field(("rule_id",), max_length=GROUP_BY_MAX)
    """Alerts with the same values of these labels are in one message."""
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


CONDITIONS: Final = frozenset(RouteConditions.model_fields)


class EarlierConditions(RouteConditions):
    """Conditions that a route had before they were changed."""

    until_us: Microseconds


class Route(RouteConditions, ProjectRecord):
    """Conditions on alerts, and the channels that receive those that meet all of them.

    Alerts are read again after a restart, so each is selected by the conditions that the route had
    when the alert was created. Otherwise, alerts of the past would be sent after each change.
    """

    kind = "route"
    per_project_max = 100

    name: str = Field(min_length=1, max_length=255)
    group_wait_s: float = Field(10.0, ge=0, le=INTERVAL_MAX_S)
    """Pause before the first message about a group, which collects further alerts."""
    group_interval_s: float = Field(300.0, ge=0, le=INTERVAL_MAX_S)
    """Minimum pause between two messages about changes of a group."""
    repeat_interval_s: float = Field(14_400.0, ge=0, le=INTERVAL_MAX_S)
    """Pause after which a group that still fires is reported again; 0: never."""
    created_us: Microseconds
    earlier: tuple[EarlierConditions, ...] = Field((), max_length=EARLIER_MAX)
    """Conditions before the last changes, oldest first."""
    known_from_us: Microseconds = 0
    """Older alerts are not selected: the conditions of their time are not kept."""

    def conditions_at(self, at_us: int) -> RouteConditions | None:
        """Return the conditions that select an alert of a time; None if the route selects none."""
        if at_us < max(self.created_us, self.known_from_us):
            return None
        return next((each for each in self.earlier if at_us < each.until_us), self)

    def changed(self, fields: Mapping[str, object], now_us: int) -> Route:
        """Return the route with new values of fields, which remembers its conditions until now."""
        before = {name: getattr(self, name) for name in CONDITIONS}
        if all(before[name] == fields[name] for name in CONDITIONS & fields.keys()):
            return self.model_copy(update=fields)
        earlier = (*self.earlier, EarlierConditions(**before, until_us=now_us))
        kept = [each for each in earlier if each.until_us > now_us - EARLIER_AGE_MAX_US]
        kept = kept[-EARLIER_MAX:]
        while sum(len(each.model_dump_json()) for each in kept) > EARLIER_CHARS_MAX:
            del kept[0]
        dropped = earlier[: len(earlier) - len(kept)]
        known_from_us = dropped[-1].until_us if dropped else self.known_from_us
        update = {**fields, "earlier": tuple(kept), "known_from_us": known_from_us}
        return self.model_copy(update=update)
