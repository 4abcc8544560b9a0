"""Restore the states of budgets from the records of ``budget-states``."""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern

import msgspec

from clickhouse.rows import BudgetStateRow
from streams.core.alerting.evaluator import State
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import LimitRule
from streams.core.budgets.states import Memory, decode_row, group_of_text, meter_hash

LimitName = tuple[str, str]
"""Budget, and name of the limit."""


@dataclass(slots=True)
class RestoredStates:
    """The states of a partition, by limit, until they are loaded.

    Attributes:
        version: the highest version of a row.
        input_offset: the highest offset up to which a row contains changes.
    """

    version: int = 0
    input_offset: int = -1
    _groups: dict[LimitName, list[tuple[str, BudgetStateRow, Memory]]] = field(default_factory=dict)
    _limits: dict[LimitName, tuple[str, BudgetStateRow, Memory]] = field(default_factory=dict)

    def add(self, key: str, value: bytes) -> None:
        """Add a record; one that cannot be decoded is ignored."""
        try:
            row, memory = decode_row(value)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        self.version = max(self.version, row.row_version)
        self.input_offset = max(self.input_offset, row.input_offset)
        name = row.budget_id, row.limit_name
        if row.group:
            self._groups.setdefault(name, []).append((key, row, memory))
        else:
            self._limits[name] = key, row, memory

    def has(self, rule: LimitRule) -> bool:
        """Return whether the evaluation of a limit, as it is defined now, has begun earlier."""
        found = self._limits.get((rule.budget.id, rule.limit.name))
        return found is not None and found[2].meter == meter_hash(rule.meter)

    def load(self, limit: LimitGroups) -> None:
        """Load the states of a limit.

        A group is marked as changed if its limit has changed since its state was written.
        """
        rule, meter = limit.rule, limit.meter
        name = rule.budget.id, rule.limit.name
        wanted = meter_hash(rule.meter)
        if self.has(rule):
            _, _, whole = self._limits.pop(name)
            meter.complete_from_us = min(meter.complete_from_us, whole.complete_from_us)
            meter.complete.update(whole.complete)
        stale = []
        for key, row, memory in self._groups.pop(name, ()):
            group = group_of_text(row.group, rule.meter.group_by)
            if memory.meter != wanted or group is None:
                stale.append((key, row, memory))
                continue
            sums = meter.period(row.period_start_us, row.period_end_us)
            if row.input_offset >= sums.contained.get(group, -1):
                sums.spent[group] = row.spent_pico
                sums.contained[group] = row.input_offset
                if memory.panes:
                    sums.panes[group] = dict(memory.panes)
            if memory.trace_tier:
                limit.trace_tiers[group] = intern(memory.trace_tier)
            if row.crossed or memory.counts or memory.has_forecast or memory.burns:
                flags = limit.flags_of(row.period_start_us, group)
                flags.crossed = row.crossed
                flags.counts = dict(memory.counts)
                flags.has_forecast, flags.burns = memory.has_forecast, memory.burns
            if limit.limit_of(group) != (row.tier, row.limit_pico):
                limit.mark(sums, group)
        if stale:
            self._groups[name] = stale

    def stale(self, now_us: int) -> list[State]:
        """Return the removal of the states that no limit has loaded."""
        version = max(self.version + 1, now_us)
        self.version = version
        left = [*self._limits.values(), *(each for rows in self._groups.values() for each in rows)]
        return [
            State(key, msgspec.structs.replace(row, row_version=version), is_deleted=True)
            for key, row, _ in left
        ]
