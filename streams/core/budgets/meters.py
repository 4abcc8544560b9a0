"""Add up the spend of a scope by period and group.

A period is *complete* if its sums contain all spend: it began after the meter was created, or its
spend was read from the store. Reading takes time, during which changes arrive. So a reading begins
with the offset up to which changes are certainly in the stored rows; later changes are recorded.
When the rows are known, the recorded changes that they do not contain are added, and further ones
that they do contain are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from producers.control.periods import CALENDAR, FOREVER_US, QUARTER_US, period_bounds, rolling_us
from streams.core.budgets.limits import Group, MeterKey
from streams.core.dimensions.keys import CellKey

SECOND_US: Final = 1_000_000
QUARTER_S: Final = QUARTER_US // SECOND_US
BOUNDS_MAX: Final = 10_000
"""Number of quarters of an hour whose period is cached, per meter."""

Cell = tuple[int, CellKey]
"""The start of a spend cell in seconds, and its dimensions."""


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


@dataclass(slots=True)
class PeriodSums:
    """The spend of the groups in one period."""

    start_us: int
    end_us: int
    spent: dict[Group, int] = field(default_factory=dict)
    traces: dict[Group, str] = field(default_factory=dict)
    """Traces of the changes since the last flush."""
    contained: dict[Group, int] = field(default_factory=dict)
    """Offset up to which a restored sum contains changes."""
    panes: dict[Group, dict[int, int]] = field(default_factory=dict)
    """Of rolling periods: spend by start of the quarter of an hour, in seconds."""
    query: SpendQuery | None = None
    recorded: list[tuple[int, int, CellKey, Group, int]] = field(default_factory=list)
    """Changes during the reading: offset, start, dimensions, group and cost."""
    newer: dict[Cell, int] = field(default_factory=dict)
    """Cells whose sums contain changes up to an offset that is not applied yet."""


@dataclass(slots=True)
class Meter:
    """The sums of one meter.

    Attributes:
        complete_from_us: periods that begin at this time or later are complete. For a rolling
            period, the time from which its panes are.
        complete: starts of further complete periods.
    """

    key: MeterKey
    complete_from_us: int = FOREVER_US
    complete: set[int] = field(default_factory=set)
    periods: dict[int, PeriodSums] = field(default_factory=dict)
    positions: tuple[int, ...] = ()
    rolling_us: int = 0
    _of_quarter: dict[int, PeriodSums] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = self.key.positions
        self.rolling_us = rolling_us(self.key.period)

    @property
    def is_calendar(self) -> bool:
        return self.key.period in CALENDAR

    def bounds(self, at_us: int) -> tuple[int, int]:
        """Return the period that contains an instant.

        Raises:
            ValueError: it is outside the calendar's range.
        """
        return period_bounds(self.key.period, self.key.time_zone, at_us)

    def is_complete(self, sums: PeriodSums, now_us: int) -> bool:
        """Return whether the sums of a period contain all spend."""
        if self.rolling_us:
            return now_us - self.rolling_us >= self.complete_from_us or 0 in self.complete
        return sums.start_us >= self.complete_from_us or sums.start_us in self.complete

    def period_at(self, start_s: int) -> PeriodSums:
        """Return the sums of the period of a quarter of an hour; raises as ``bounds``."""
        sums = self._of_quarter.get(start_s)
        if sums is None:
            sums = self.period(*self.bounds(start_s * SECOND_US))
            if len(self._of_quarter) >= BOUNDS_MAX:
                self._of_quarter.clear()
            self._of_quarter[start_s] = sums
        return sums

    def period(self, start_us: int, end_us: int) -> PeriodSums:
        """Return the sums of a period."""
        sums = self.periods.get(start_us)
        if sums is None:
            sums = self.periods[start_us] = PeriodSums(start_us, end_us)
        return sums

    def forget(self, start_us: int) -> None:
        """Remove a period; if its spend changes again, it is incomplete."""
        sums = self.periods.pop(start_us, None)
        self.complete.discard(start_us)
        if sums is not None and self.complete_from_us < FOREVER_US:
            self.complete_from_us = max(self.complete_from_us, sums.end_us)
        self._of_quarter.clear()

    def add(
        self,
        start_s: int,
        key: CellKey,
        group: Group,
        pico: int,
        trace_id: str,
        offset: int,
        *,
        only_known: bool = False,
    ) -> PeriodSums | None:
        """Add a change; return the changed sums, or None if they already contain it.

        With ``only_known``, changes of new groups are ignored.

        Raises:
            ValueError: the time is outside the calendar's range.
        """
        sums = self.period_at(start_s)
        if sums.query is not None:
            sums.recorded.append((offset, start_s, key, group, pico))
        if sums.newer and offset <= sums.newer.get((start_s, key), -1):
            return None
        if sums.contained and offset <= sums.contained.get(group, -1):
            return None
        spent_pico = sums.spent.get(group)
        if spent_pico is None and only_known:
            return None
        sums.spent[group] = (spent_pico or 0) + pico
        sums.traces[group] = trace_id
        if self.rolling_us:
            panes = sums.panes.setdefault(group, {})
            panes[start_s] = panes.get(start_s, 0) + pico
        return sums

    def expire(self, sums: PeriodSums, group: Group, now_us: int) -> bool:
        """Remove the panes of a rolling period that have left it; return whether there were any."""
        panes = sums.panes.get(group)
        if not panes:
            return False
        begin_s = (now_us - self.rolling_us) // QUARTER_US * QUARTER_S
        gone = [start_s for start_s in panes if start_s < begin_s]
        for start_s in gone:
            sums.spent[group] -= panes.pop(start_s)
        if not panes:
            del sums.panes[group]
        return bool(gone)

    def settle(self, sums: PeriodSums, result: SpendResult) -> set[Group]:
        """Replace the sums of a period by stored ones, and return all its groups."""
        assert sums.query is not None
        groups = set(sums.spent)
        spent: dict[Group, int] = {}
        panes: dict[Group, dict[int, int]] = {}
        recorded = (
            (start_s, group, pico)
            for offset, start_s, key, group, pico in sums.recorded
            if offset > result.newer.get((start_s, key), -1)
        )
        stored = ((start_s, group, pico) for (start_s, group), pico in result.spent.items())
        for start_s, group, pico in (*stored, *recorded):
            spent[group] = spent.get(group, 0) + pico
            if self.rolling_us:
                of_group = panes.setdefault(group, {})
                of_group[start_s] = of_group.get(start_s, 0) + pico
        # Users without cost need no state.
        spent = {group: pico for group, pico in spent.items() if pico or group in groups}
        sums.spent, sums.panes, sums.newer = spent, panes, dict(result.newer)
        sums.contained.clear()
        self.end_reading(sums)
        self.complete.add(sums.start_us)
        return groups | set(spent)

    def end_reading(self, sums: PeriodSums) -> None:
        """End a reading."""
        sums.query = None
        sums.recorded = []
