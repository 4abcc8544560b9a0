"""Hold the spend of the groups of one period, which the limits on the same spend share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from streams.core.budgets.limits import Group, MeterKey
from streams.core.dimensions.keys import CellKey

if TYPE_CHECKING:
    from streams.core.budgets.groups import LimitGroups

Cell = tuple[int, CellKey]
"""The start of a spend cell in seconds, and its dimensions."""
UNBOUNDED_PICO: Final = 1 << 200
"""More than any spend."""


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """A reading of the stored spend of a meter in ``start_us`` to before ``end_us``.

    Attributes:
        offset: changes up to this offset of ``deltas`` must be in the rows.
    """

    meter: MeterKey
    start_us: int
    end_us: int
    offset: int


@dataclass(frozen=True, slots=True)
class SpendResult:
    """Stored spend.

    Attributes:
        spent: by start of the quarter of an hour and group; the start is 0 for periods that are
            read as a whole.
        newer: cells whose rows contain changes after the query's offset, with the offset of the
            last change.
    """

    spent: dict[tuple[int, Group], int]
    newer: dict[Cell, int]


class GroupSum(msgspec.Struct, gc=False):
    """The spend of a group in one period."""

    spent_pico: int = 0
    low_pico: int = 1
    """While the spend is at least this and below ``high_pico``, no threshold of any limit is
    reached or left. By default there is no such range, so that each change is evaluated."""
    high_pico: int = 0
    is_close: bool = False
    """Whether the spend approaches a limit (``groups.CLOSE_PARTS``)."""
    reached: int = 0
    """Number of limits that the spend has reached."""
    unwritten_after: int | None = None
    """The position (``streams.core.budgets.unwritten``) before the first change that is not
    written; None: all are."""
    trace_id: str = ""
    """Trace of the last change since the last flush."""
    contained: int = -1
    """Offset up to which a restored sum contains changes."""
    panes: dict[int, int] | None = None
    """Of rolling periods: spend by start of the quarter of an hour, in seconds."""
    expired_s: int = 0
    """Start of the rolling period when panes were last removed."""

    def add(self, start_s: int, pico: int, trace_id: str, *, is_rolling: bool) -> None:
        """Add a change in a quarter of an hour."""
        self.spent_pico += pico
        self.trace_id = trace_id
        if is_rolling:
            panes = self.panes
            if panes is None:
                panes = self.panes = {}
            panes[start_s] = panes.get(start_s, 0) + pico
            if start_s < self.expired_s:
                self.expired_s = 0  # it has left the period already

    def forget_range(self) -> None:
        """Evaluate the next change, whatever its amount."""
        self.low_pico, self.high_pico = 1, 0


@dataclass(slots=True)
class PeriodSums:
    """The spend of the groups in one period, and the limits that are evaluated on it.

    Attributes:
        limits: the limits of the meter that include this period.
        eager: those of them that are evaluated at each change, for forecasts and burn rates.
        tiered: those of them that depend on tiers.
        others: the other limits of the meter; they include this period as soon as it changes.
        unwritten: groups whose spend has changed since their states were written, by position
            (``streams.core.budgets.unwritten``).
        urgent: those of them that the next flush writes in any case.
        before: spend of groups before the last reading, until they are evaluated.
    """

    start_us: int
    end_us: int
    groups: dict[Group, GroupSum] = field(default_factory=dict)
    limits: tuple[LimitGroups, ...] = ()
    eager: tuple[LimitGroups, ...] = ()
    tiered: tuple[LimitGroups, ...] = ()
    others: tuple[LimitGroups, ...] = ()
    unwritten: dict[int, list[Group]] = field(default_factory=dict)
    urgent: set[Group] = field(default_factory=set)
    before: dict[Group, int] = field(default_factory=dict)
    query: SpendQuery | None = None
    recorded: list[tuple[int, int, CellKey, Group, int]] = field(default_factory=list)
    """Changes during the reading: offset, start, dimensions, group and cost."""
    newer: dict[Cell, int] = field(default_factory=dict)
    """Cells whose sums contain changes up to an offset that is not applied yet. Until all are
    applied, the sums belong to no position of the log: they are not evaluated, and incomplete."""

    def spent_of(self, group: Group) -> int:
        """Return the spend of a group."""
        total = self.groups.get(group)
        return 0 if total is None else total.spent_pico

    def changed(self, group: Group, total: GroupSum, position: int) -> None:
        """Note that the spend of a group has changed."""
        if total.unwritten_after is None:
            total.unwritten_after = position
            waiting = self.unwritten.get(position)
            if waiting is None:
                waiting = self.unwritten[position] = []
            waiting.append(group)

    def all_changed(self, position: int) -> None:
        """Note that the spend of all groups has changed."""
        for group, total in self.groups.items():
            self.changed(group, total, position)

    def end_reading(self) -> None:
        """End a reading."""
        self.query = None
        self.recorded = []

    def forget_ranges(self) -> None:
        """Evaluate the next change of each group, because limits have changed."""
        for total in self.groups.values():
            total.forget_range()
