"""Continue from the alerts that were created before a restart.

A restart applies the log again from the checkpoint. Meanwhile, budgets are not evaluated: a budget
or a tier may have changed since, or stored spend is read at another position, so that thresholds
would be crossed and taken back in another order than before. When everything was applied again,
each group continues from what its alerts have reported, and alerts are created for what differs.
So receivers know exactly what is crossed, and no crossing has two ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

import msgspec

from producers.notifications.alert import Alert
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import Group
from streams.core.budgets.notices import burn_rate_id, corrected_id, crossed_id
from streams.core.budgets.sums import PeriodSums

LATEST_US: Final = 24 * 3_600 * 1_000_000
"""Alerts that are older than the last written state by more than this are contained in states."""


class _Reported(msgspec.Struct):
    """The fields of an alert that name a group."""

    period_start_us: int
    limit_name: str = ""
    group: dict[str, str] = {}


_reported: Final = msgspec.json.Decoder(_Reported)
_Period = tuple[str, str, int]
"""Budget, name of the limit, and start of the period."""


@dataclass(slots=True)
class Replay:
    """The part of the log that may have been applied before a restart.

    Attributes:
        ends_us: append time after which deltas are new; 0: it has ended.
        after_us: alerts that were created before are contained in states.
    """

    ends_us: int = 0
    after_us: int = 0
    _groups: dict[_Period, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, alert: Alert) -> None:
        """Note the group of an alert."""
        if alert.created_us < self.after_us:
            return
        try:
            found = _reported.decode(alert.payload)
        except msgspec.MsgspecError:
            return
        self._groups[alert.rule_id, found.limit_name, found.period_start_us].append(found.group)

    def groups_of(self, limit: LimitGroups, sums: PeriodSums) -> set[Group]:
        """Return the groups of a limit and period with recent alerts."""
        names = limit.rule.meter.group_by
        return {
            tuple(values[name] for name in names)
            for values in self._groups.get((*limit.rule.id, sums.start_us), ())
            if values.keys() == {*names}
        }

    def end(self) -> None:
        """Forget everything."""
        self.ends_us = 0
        self._groups.clear()


def continue_from_alerts(
    limit: LimitGroups, sums: PeriodSums, group: Group, alerted: Container[str]
) -> None:
    """Set the flags of a group to what its alerts have reported."""
    rule, start_us = limit.rule, sums.start_us
    flags = limit.flags_of(start_us, group)
    crossed = set(flags.crossed)
    for share in rule.budget.thresholds:
        known = sequence = flags.counts.get(share, 0)
        while crossed_id(rule, start_us, group, share, sequence) in alerted:
            sequence += 1
        if not sequence:
            continue
        flags.counts[share] = sequence
        if corrected_id(rule, start_us, group, share, sequence - 1) in alerted:
            crossed.discard(share)
        elif sequence > known:
            crossed.add(share)
    while burn_rate_id(rule, start_us, group, flags.burns) in alerted:
        flags.burns += 1
        flags.is_burning = True  # until the rate is lower
    defined = rule.budget.thresholds
    others = [share for share in flags.crossed if share not in defined]
    flags.crossed = (*others, *(share for share in defined if share in crossed))
