"""Query the current states of alert rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from query_api.store.rows import ALERT_STATE_WHOLE
from query_api.store.sql import OF_PROJECT, Binder, StoreQuery

SILENCED: Final = "silenced"
"""Selects groups whose alerts are recorded, but not delivered, whatever their state is."""
_OPEN: Final = ("firing", "recovering", "no_data")
GROUP_KEY: Final = "hex(sipHash128(rule_id, group))"
"""A short text that identifies a rule and a group."""


@dataclass(frozen=True, slots=True)
class FindAlertStates(StoreQuery):
    """Select states, the latest change first, with the column ``group_key``.

    With ``below``, those that sort after ``(since_us, group_key)``.
    """

    name: ClassVar[str] = "find_alert_states"
    limit: int = 50
    below: tuple[int, str] | None = None
    states: tuple[str, ...] = ()
    rule_id: str = ""
    episode_id: str = ""

    def _is_in_states(self, binder: Binder) -> str:
        names = tuple(each for each in self.states if each != SILENCED)
        alternatives = [f"state IN {binder.texts(names)}"] if names else []
        if SILENCED in self.states:
            alternatives.append(f"(silenced AND state IN {binder.texts(_OPEN)})")
        found = " OR ".join(alternatives)
        return found if len(alternatives) == 1 else f"({found})"

    def write(self, binder: Binder) -> str:
        conditions = ""
        if self.states:
            conditions += f"\n  AND {self._is_in_states(binder)}"
        if self.rule_id:
            conditions += f"\n  AND rule_id = {binder.text(self.rule_id)}"
        if self.episode_id:
            conditions += f"\n  AND episode_id = {binder.text(self.episode_id)}"
        if self.below is not None:
            since_us, key = self.below
            conditions += (
                f"\n  AND (since_time, group_key) < "
                f"({binder.instant(since_us)}, {binder.text(key)})"
            )
        return (
            f"SELECT {', '.join(ALERT_STATE_WHOLE)}, {GROUP_KEY} AS group_key\n"
            f"FROM alert_states FINAL\nWHERE {OF_PROJECT}{conditions}\n"
            f"ORDER BY since_time DESC, group_key DESC\n"
            f"LIMIT {binder.bind(self.limit, 'UInt32')}"
        )
