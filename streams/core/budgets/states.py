"""Convert the states of a budget's groups to rows, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from clickhouse.rows import BudgetStateRow
from streams.core.budgets.limits import Group, LimitRule
from streams.core.budgets.meters import Meter
from streams.core.budgets.sums import GroupSum, PeriodSums

COMPLETE_MAX: Final = 200
"""Number of complete periods that a row lists."""

_groups: Final = msgspec.json.Decoder(dict[str, str])
_row: Final = msgspec.json.Decoder(BudgetStateRow)


class Memory(msgspec.Struct, omit_defaults=True):
    """What a row contains for the evaluation after a restart."""

    meter: str = ""
    """Hash of what is added up; states of an earlier definition of the budget have another one."""
    counts: dict[str, int] = {}
    """How often each threshold was crossed in the period."""
    trace_tier: str = ""
    has_forecast: bool = False
    """Whether the forecast has created an alert."""
    burns: int = 0
    """How often the burn rate has created an alert."""
    panes: list[tuple[int, int]] = []
    complete_from_us: int = 0
    complete: list[int] = []


_memory: Final = msgspec.json.Decoder(Memory)


@dataclass(slots=True)
class GroupFlags:
    """What is known of a group in addition to its spend; most groups need none."""

    crossed: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    has_forecast: bool = False
    burns: int = 0
    is_burning: bool = False


def group_hash(group: str) -> str:
    """Return the hash of a group, which is JSON, in the keys of states."""
    return sha256(group.encode()).hexdigest()[:16]


def state_key(budget_id: str, limit_name: str, start_us: int, digest: str) -> str:
    """Return the key of a state's record; ``digest`` is its ``group_hash``."""
    return f"{budget_id}/{limit_name}/{start_us}/{digest}"


def decode_row(value: bytes) -> tuple[BudgetStateRow, Memory]:
    """Decode a state.

    Raises:
        msgspec.MsgspecError: the value is not a state.
    """
    row = _row.decode(value)
    return row, _memory.decode(row.evaluation) if row.evaluation else Memory()


def group_of_text(text: str, names: tuple[str, ...]) -> Group | None:
    """Return the group of a row; None if it has other dimensions."""
    values = _groups.decode(text)
    return tuple(values[name] for name in names) if sorted(values) == sorted(names) else None


def group_row(
    rule: LimitRule, meter: Meter, sums: PeriodSums, *, now_us: int, version: int
) -> BudgetStateRow:
    """Return a row with what the groups of a limit have in common in a period."""
    return BudgetStateRow(
        project_id=rule.budget.project_id,
        budget_id=rule.budget.id,
        limit_name=rule.limit.name,
        period=rule.limit.period,
        period_start_us=sums.start_us,
        period_end_us=sums.end_us,
        group="",
        incomplete=int(not meter.is_complete(sums, now_us)),
        evaluation=msgspec.json.encode(Memory(meter=rule.hash)).decode(),
        updated_us=now_us,
        row_version=version,
    )


def remember(
    row: BudgetStateRow, rule: LimitRule, total: GroupSum, flags: GroupFlags, trace_tier: str
) -> None:
    """Add to a row what the evaluation of its group continues from, besides the spend."""
    row.crossed = flags.crossed
    memory = Memory(
        meter=rule.hash,
        counts=flags.counts,
        trace_tier=trace_tier,
        has_forecast=flags.has_forecast,
        burns=flags.burns,
        panes=sorted(total.panes.items()) if total.panes else [],
    )
    row.evaluation = msgspec.json.encode(memory).decode()


def limit_row(
    rule: LimitRule,
    meter: Meter,
    excluded: set[int],
    now_us: int,
    version: int,
    *,
    is_partial: bool = False,
) -> BudgetStateRow:
    """Return the row that describes the evaluation of a whole limit.

    It does not list ``excluded`` periods as complete: the limit has no rows with their spend, and
    the limits that have some may be removed.
    """
    periods, begin_us = meter.periods, meter.complete_from_us
    hidden = [periods[each] for each in excluded if each in periods and each >= begin_us]
    complete_from_us = max([begin_us, *(sums.end_us for sums in hidden)])
    known = meter.complete | {each for each in periods if begin_us <= each < complete_from_us}
    complete = [
        start_us
        for start_us in sorted(known - excluded)
        if start_us not in periods or not periods[start_us].newer
    ]
    memory = Memory(
        meter=rule.hash,
        complete_from_us=complete_from_us,
        complete=complete[-COMPLETE_MAX:],
    )
    return BudgetStateRow(
        project_id=rule.budget.project_id,
        budget_id=rule.budget.id,
        limit_name=rule.limit.name,
        period=rule.limit.period,
        period_start_us=0,
        period_end_us=0,
        group="",
        incomplete=int(is_partial),
        evaluation=msgspec.json.encode(memory).decode(),
        updated_us=now_us,
        row_version=version,
    )
