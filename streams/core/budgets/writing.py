"""Return the rows of the states that have changed, in the order in which they are written.

The rows of groups precede those of limits, which contain what is complete: after a crash in
between, spend that was read from the store is read again instead of being taken for complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from clickhouse.rows import BudgetStateRow
from producers.budgets.groups import group_text
from streams.core.alerting.evaluator import State
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import Group
from streams.core.budgets.meters import Meter
from streams.core.budgets.states import (
    GroupFlags,
    group_hash,
    group_row,
    limit_row,
    remember,
    state_key,
)
from streams.core.budgets.sums import GroupSum, PeriodSums
from streams.core.rollups.amounts import row_amount

_NO_FLAGS = GroupFlags()


@dataclass(frozen=True, slots=True)
class Position:
    """The position of the log and the time that rows belong to."""

    offset: int
    now_us: int
    version: int


def has_changes(meter: Meter) -> bool:
    """Return whether states of groups are to be written."""
    return any(sums.unwritten for sums in meter.periods.values()) or any(
        limit.dirty for limit in meter.limits
    )


def states_of_groups(
    meters: Iterable[Meter], groups: Mapping[int, Collection[Group]], at: Position
) -> Iterator[State]:
    """Yield the states of groups by ``id`` of their period, and those that limits have marked."""
    for meter in meters:
        for sums in meter.periods.values():
            yield from _states_of_period(sums, groups.get(id(sums), ()), at)
        for limit in meter.limits:
            for start_us in limit.dirty.keys() - meter.periods.keys():
                del limit.dirty[start_us]


def _states_of_period(sums: PeriodSums, of_all: Collection[Group], at: Position) -> Iterator[State]:
    """Yield the states of groups in ``of_all`` of all limits, and others that limits have marked.

    A group whose spend has changed, too, gets states of all limits: so they belong to one position.
    """
    if not of_all and not any(sums.start_us in limit.dirty for limit in sums.limits):
        return
    wanted: dict[Group, list[_LimitRows]] = {}
    rows_of = {limit: _LimitRows(limit, sums, at) for limit in sums.limits}
    for limit, rows in rows_of.items():
        for group in limit.dirty.pop(sums.start_us, ()):
            wanted.setdefault(group, []).append(rows)
    every = list(rows_of.values())
    wanted.update(dict.fromkeys(of_all, every))
    for group, limits in wanted.items():
        total = sums.groups.get(group)
        if total is None:
            continue
        text = limits[0].text_of(group) if limits else ""
        digest = group_hash(text)
        for rows in limits:
            yield rows.state(group, total, text, digest)
        total.trace_id = ""


def removed_states(limit: LimitGroups, sums: PeriodSums, at: Position) -> Iterator[State]:
    """Yield the removal of the states of a limit in a period."""
    rows = _LimitRows(limit, sums, at)
    for group, total in sums.groups.items():
        text = rows.text_of(group)
        yield rows.state(group, total, text, group_hash(text), is_deleted=True)


class _LimitRows:
    """The states of a limit's groups in one period; what they have in common is computed once."""

    def __init__(self, limit: LimitGroups, sums: PeriodSums, at: Position) -> None:
        self._limit = limit
        self._offset = at.offset
        self._flags = limit.flags.get(sums.start_us, {})
        self._common = group_row(
            limit.rule, limit.meter, sums, now_us=at.now_us, version=at.version
        )
        self._common.input_offset = at.offset
        self._copy = self._common.__copy__  # type: ignore[attr-defined]
        self._key = state_key(*limit.rule.id, sums.start_us, "")

    def text_of(self, group: Group) -> str:
        return group_text(self._limit.rule.named(group))

    def state(
        self, group: Group, total: GroupSum, text: str, digest: str, *, is_deleted: bool = False
    ) -> State:
        limit = self._limit
        row: BudgetStateRow = self._copy()
        row.group = text
        row.tier, row.limit_pico = limit.limit_of(group)
        row.spent_pico = row_amount(total.spent_pico)
        row.trace_id = total.trace_id
        if total.contained > self._offset:
            row.input_offset = total.contained
        flags = self._flags.get(group)
        trace_tier = limit.trace_tiers.get(group, "")
        if flags is not None or trace_tier or total.panes:
            remember(row, limit.rule, total, flags or _NO_FLAGS, trace_tier)
        return State(self._key + digest, row, is_deleted)


def state_of_limit(
    limit: LimitGroups, at: Position, *, is_partial: bool = False, is_deleted: bool = False
) -> State:
    """Return the state that describes the evaluation of a whole limit.

    With ``is_partial``, it is incomplete: events wait, which all of its groups may lack.
    """
    row = limit_row(
        limit.rule, limit.meter, limit.excluded, at.now_us, at.version, is_partial=is_partial
    )
    return State(state_key(*limit.rule.id, 0, group_hash("")), row, is_deleted)
