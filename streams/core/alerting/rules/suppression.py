"""Decide whether the alerts of a group are delivered: silences, inhibition, acknowledgements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from producers.alerting.silences import is_silenced, labels_of
from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.silence import Silence

SHADOW: Final = "shadow"
SILENCED: Final = "silenced"
INHIBITED: Final = "inhibited"
_RANK: Final = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why an alert is not delivered.

    Attributes:
        reason: ``shadow``, ``silenced`` or ``inhibited``.
        by: the id of the silence or the inhibiting rule.
    """

    reason: str
    by: str = ""


@dataclass(slots=True)
class Suppressions:
    """The silences and acknowledgements of a project, and its firing groups."""

    silences: dict[str, Silence] = field(default_factory=dict)
    acknowledgements: dict[str, Acknowledgement] = field(default_factory=dict)
    """By episode."""
    _firing: dict[tuple[str, str], tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Rank of the severity and labels, by rule and group."""

    @property
    def is_used(self) -> bool:
        """Return whether there are silences or acknowledgements."""
        return bool(self.silences or self.acknowledgements)

    def remove_acknowledgement(self, record_id: str) -> None:
        """Remove an acknowledgement by the id of its record."""
        for episode, each in list(self.acknowledgements.items()):
            if each.id == record_id:
                del self.acknowledgements[episode]

    def set_firing(self, rule: AlertRule, group: str, values: Mapping[str, str]) -> None:
        """Add a firing group, which may inhibit others."""
        self._firing[rule.id, group] = (_RANK[rule.severity], labels_of(rule, values))

    def unset_firing(self, rule_id: str, group: str) -> None:
        """Remove a group that is no longer firing."""
        self._firing.pop((rule_id, group), None)

    def of(self, rule: AlertRule, values: Mapping[str, str], now_us: int) -> Suppression | None:
        """Return why alerts of a group are not delivered now; None if they are."""
        if rule.shadow:
            return Suppression(SHADOW)
        if not self.silences and not rule.inhibited_by:
            return None
        labels = labels_of(rule, values)
        for silence in self.silences.values():
            if is_silenced(silence, labels, now_us):
                return Suppression(SILENCED, silence.id)
        if rule.inhibited_by:
            for (rule_id, _), (rank, others) in self._firing.items():
                if (
                    rank > _RANK[rule.severity]
                    and rule_id != rule.id
                    and all(
                        others.get(name, "") == labels.get(name, "") for name in rule.inhibited_by
                    )
                ):
                    return Suppression(INHIBITED, rule_id)
        return None

    def not_announced(self, by: str) -> Suppression:
        """Return why the end of an episode is not delivered if its beginning was not."""
        return Suppression(SILENCED if by in self.silences else by or SILENCED, by)
