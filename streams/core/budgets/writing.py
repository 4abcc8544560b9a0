"""Return the rows of the states that have changed, in the order in which they are written.

The rows of groups precede those of limits, which contain what is complete: after a crash in
between, spend that was read from the store is read again instead of being taken for complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from producers.budgets.groups import group_text
from streams.core.alerting.evaluator import State
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limits import Group
from streams.core.budgets.meters import Meter
from streams.core.budgets.states import GroupFlags, group_hash, group_row, limit_row, state_key
from streams.core.budgets.sums import PeriodSums

_NO_FLAGS = GroupFlags()


@dataclass(frozen=True, slots=True)
class Position:
    """The position of the log and the time that rows belong to."""

    offset: int
    now_us: int
    version: int


def has_changes(meter: Meter) -> bool:
    """Return whether states of groups are to be written."""
    return any(sums.dirty for sums in meter.periods.values()) or any(
        limit.dirty for limit in meter.limits
    )


def states_of_groups(meters: Iterable[Meter], at: Position) -> Iterator[State]:
    """Yield the states of the groups that have changed, and forget that they have."""
    for meter in meters:
        for sums in meter.periods.values():
            yield from _states_of_period(sums, at)
        for limit in meter.limits:
            for start_us in limit.dirty.keys() - meter.periods.keys():
                del limit.dirty[start_us]


def _states_of_period(sums: PeriodSums, at: Position) -> Iterator[State]:
    of_all = sums.dirty
    wanted: dict[Group, list[LimitGroups]] = {}
    for limit in sums.limits:
        for group in limit.dirty.pop(sums.start_us, ()):
            if group not in of_all:
                wanted.setdefault(group, []).append(limit)
    wanted.update((group, list(sums.limits)) for group in of_all)
    for group, limits in wanted.items():
        total = sums.groups.get(group)
        if total is None:
            continue
        text = group_text(limits[0].rule.named(group)) if limits else ""
        digest = group_hash(text)
        for limit in limits:
            yield _state(limit, sums, group, text, digest, at)
        total.trace_id = ""
    sums.dirty = set()


def removed_states(limit: LimitGroups, sums: PeriodSums, at: Position) -> Iterator[State]:
    """Yield the removal of the states of a limit in a period."""
    for group in sums.groups:
        text = group_text(limit.rule.named(group))
        yield _state(limit, sums, group, text, group_hash(text), at, is_deleted=True)


def _state(
    limit: LimitGroups,
    sums: PeriodSums,
    group: Group,
    text: str,
    digest: str,
    at: Position,
    *,
    is_deleted: bool = False,
) -> State:
    tier, limit_pico = limit.limit_of(group)
    row = group_row(
        limit.rule,
        limit.meter,
        sums,
        text,
        sums.groups[group],
        limit.flags.get(sums.start_us, {}).get(group) or _NO_FLAGS,
        tier=tier,
        trace_tier=limit.trace_tiers.get(group, ""),
        limit_pico=limit_pico,
        input_offset=at.offset,
        now_us=at.now_us,
        version=at.version,
    )
    key = state_key(row.budget_id, row.limit_name, row.period_start_us, digest)
    return State(key, row, is_deleted)


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
