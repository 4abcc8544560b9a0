"""Restore the states of budgets from the records of ``budget-states``.

Each limit has a row of its own for a group, with the spend, although limits share sums. A crash
during a flush can leave rows of different positions of the log. Each has the spend of its own
position, so the sums continue from the latest of them, and skip the changes that it contains. What
is crossed is evaluated again when all of the log was applied (``streams.core.budgets.replay``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

import msgspec

from clickhouse.rows import BudgetStateRow
from producers.control.periods import FOREVER_US
from streams.core.alerting.evaluator import State
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import Group, LimitRule
from streams.core.budgets.meters import Meter
from streams.core.budgets.states import Memory, decode_row, group_of_text
from streams.core.budgets.sums import GroupSum, PeriodSums

LimitName = tuple[str, str]
"""Budget, and name of the limit."""


class Restored(NamedTuple):
    """A restored state."""

    key: str
    row: BudgetStateRow
    memory: Memory


_Found = tuple[BudgetStateRow, Memory]


@dataclass(slots=True)
class RestoredStates:
    """The states of a partition, by limit, until they are loaded.

    Attributes:
        checkpoint: offset of the last record that all states contain.
        version: the highest version of a row.
        written_us: the latest time when a row was written.
    """

    checkpoint: int = -1
    version: int = 0
    written_us: int = 0
    _groups: dict[LimitName, list[Restored]] = field(default_factory=dict)
    _limits: dict[LimitName, Restored] = field(default_factory=dict)

    def add(self, key: str, value: bytes) -> None:
        """Add a record; one that cannot be decoded is ignored."""
        try:
            row, memory = decode_row(value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        self.version = max(self.version, row.row_version)
        self.written_us = max(self.written_us, row.updated_us)
        name = row.budget_id, row.limit_name
        if row.group:
            self._groups.setdefault(name, []).append(Restored(key, row, memory))
        else:
            self._limits[name] = Restored(key, row, memory)

    def has(self, rule: LimitRule) -> bool:
        """Return whether the evaluation of a limit, as it is defined now, has begun earlier."""
        found = self._limits.get(rule.id)
        return found is not None and found.memory.meter == rule.hash

    def load(self, meter: Meter) -> None:
        """Load the states of the limits of a meter.

        A group is marked as changed if its state is outdated.
        """
        wholes: dict[LimitGroups, Memory] = {}
        found: dict[tuple[int, int], dict[Group, dict[LimitGroups, _Found]]] = {}
        for limit in meter.limits:
            whole = wholes[limit] = self._limits.pop(limit.rule.id).memory
            meter.complete_from_us = min(meter.complete_from_us, whole.complete_from_us)
            meter.complete.update(whole.complete)
            for row, group, memory in self._rows_of(limit):
                period = row.period_start_us, row.period_end_us
                found.setdefault(period, {}).setdefault(group, {})[limit] = row, memory
        for (start_us, end_us), groups in found.items():
            included = {limit for rows in groups.values() for limit in rows}
            for limit in meter.limits:
                if limit not in included:
                    limit.excluded.add(start_us)
            self._load_period(meter, meter.period(start_us, end_us), groups, wholes)

    def _load_period(
        self,
        meter: Meter,
        sums: PeriodSums,
        groups: dict[Group, dict[LimitGroups, _Found]],
        wholes: dict[LimitGroups, Memory],
    ) -> None:
        missing_from_us = {
            limit: _missing_from_us(meter, wholes[limit], sums.start_us) for limit in sums.limits
        }
        best_us = min(missing_from_us.values())
        for group, rows in groups.items():
            best = [each for limit, each in rows.items() if missing_from_us[limit] == best_us]
            total = sums.groups[group] = self._sum_of(best)
            for limit in sums.limits:
                if limit not in rows:
                    limit.mark(sums, group)
                    continue
                row, memory = rows[limit]
                _load_flags(limit, sums, group, row, memory)
                if row.spent_pico != total.spent_pico:
                    limit.mark(sums, group)

    def _sum_of(self, rows: list[_Found]) -> GroupSum:
        """Return the spend of a group in the latest row."""
        if not rows:
            return GroupSum()
        row, memory = max(rows, key=lambda each: each[0].input_offset)
        total = GroupSum(row.spent_pico, panes=dict(memory.panes) or None)
        if row.input_offset > self.checkpoint:
            total.contained = row.input_offset
        return total

    def _rows_of(self, limit: LimitGroups) -> list[tuple[BudgetStateRow, Group, Memory]]:
        rule, found, stale = limit.rule, [], []
        for each in self._groups.pop(rule.id, ()):
            group = group_of_text(each.row.group, rule.meter.group_by)
            if each.memory.meter != rule.hash or group is None:
                stale.append(each)
            else:
                found.append((each.row, group, each.memory))
        if stale:
            self._groups[rule.id] = stale
        return found

    def stale(self, now_us: int) -> list[State]:
        """Return the removal of the states that no limit has loaded."""
        version = max(self.version + 1, now_us)
        self.version = version
        left = [*self._limits.values(), *(each for rows in self._groups.values() for each in rows)]
        return [
            State(key, msgspec.structs.replace(row, row_version=version), is_deleted=True)
            for key, row, _ in left
        ]


def _load_flags(
    limit: LimitGroups, sums: PeriodSums, group: Group, row: BudgetStateRow, memory: Memory
) -> None:
    if memory.trace_tier:
        limit.trace_tiers[group] = intern(memory.trace_tier)
    if row.crossed or memory.counts or memory.has_forecast or memory.burns:
        flags = limit.flags_of(sums.start_us, group)
        flags.crossed = row.crossed
        flags.counts = dict(memory.counts)
        flags.has_forecast, flags.burns = memory.has_forecast, memory.burns
    if limit.limit_of(group) != (row.tier, row.limit_pico):
        limit.mark(sums, group)


def _missing_from_us(meter: Meter, whole: Memory, start_us: int) -> int:
    """Return 0 if a limit's rows of a period have all spend, and more the more is missing.

    Limits whose rows an earlier version has written can differ, because they had no common sums.
    """
    if start_us in whole.complete:
        return 0
    if meter.rolling_us:
        return whole.complete_from_us
    return 0 if start_us >= whole.complete_from_us else FOREVER_US
