"""Add up the spend of a scope by period and group.

Limits with the same scope, ``group_by``, period and time zone share a meter, so that a change costs
the same for any number of them.

A period is *complete* if its sums contain all spend: it began after the meter was created, or its
spend was read from the store. Reading takes time, during which changes arrive. So a reading begins
with the offset up to which changes are certainly in the stored rows; later changes are recorded.
When the rows are known, the recorded changes that they do not contain are added, and further ones
that they do contain are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from producers.control.periods import FOREVER_US, QUARTER_US, period_bounds, rolling_us
from streams.core.budgets.limits import Group, MeterKey
from streams.core.budgets.sums import GroupSum, PeriodSums, SpendResult

if TYPE_CHECKING:
    from streams.core.budgets.groups import LimitGroups

SECOND_US: Final = 1_000_000
QUARTER_S: Final = QUARTER_US // SECOND_US
BOUNDS_MAX: Final = 10_000
"""Number of quarters of an hour whose period is cached, per meter."""


@dataclass(slots=True)
class Meter:
    """The sums of one meter.

    Attributes:
        complete_from_us: periods that begin at this time or later are complete. For a rolling
            period, the time from which its panes are.
        complete: starts of further complete periods.
        limits: the limits that share it.
    """

    key: MeterKey
    complete_from_us: int = FOREVER_US
    complete: set[int] = field(default_factory=set)
    periods: dict[int, PeriodSums] = field(default_factory=dict)
    limits: list[LimitGroups] = field(default_factory=list)
    rolling_us: int = 0
    of_quarter: dict[int, PeriodSums] = field(default_factory=dict)
    """A cache of ``period_at``."""

    def __post_init__(self) -> None:
        self.rolling_us = rolling_us(self.key.period)

    def bounds(self, at_us: int) -> tuple[int, int]:
        """Return the period that contains an instant.

        Raises:
            ValueError: it is outside the calendar's range.
        """
        return period_bounds(self.key.period, self.key.time_zone, at_us)

    def is_complete(self, sums: PeriodSums, now_us: int) -> bool:
        """Return whether the sums of a period contain all spend up to a position of the log."""
        if sums.newer:
            return False
        if self.rolling_us:
            return now_us - self.rolling_us >= self.complete_from_us or 0 in self.complete
        return sums.start_us >= self.complete_from_us or sums.start_us in self.complete

    def period_at(self, start_s: int) -> PeriodSums:
        """Return the sums of the period of a quarter of an hour; raises as ``bounds``."""
        sums = self.of_quarter.get(start_s)
        if sums is None:
            sums = self.period(*self.bounds(start_s * SECOND_US))
            if len(self.of_quarter) >= BOUNDS_MAX:
                self.of_quarter.clear()
            self.of_quarter[start_s] = sums
        return sums

    def period(self, start_us: int, end_us: int) -> PeriodSums:
        """Return the sums of a period."""
        sums = self.periods.get(start_us)
        if sums is None:
            sums = self.periods[start_us] = PeriodSums(start_us, end_us)
            self.assign(sums)
        return sums

    def assign(self, sums: PeriodSums) -> None:
        """Note which limits include a period, after this has changed."""
        start_us = sums.start_us
        sums.limits = tuple(each for each in self.limits if start_us not in each.excluded)
        sums.others = tuple(each for each in self.limits if start_us in each.excluded)
        sums.eager = tuple(each for each in sums.limits if each.rule.is_eager)
        sums.tiered = tuple(each for each in sums.limits if each.rule.limit.tiers)
        sums.forget_ranges()

    def assign_all(self) -> None:
        """Note which limits include which periods."""
        for sums in self.periods.values():
            self.assign(sums)

    def forget(self, start_us: int) -> None:
        """Remove a period; if its spend changes again, it is incomplete."""
        sums = self.periods.pop(start_us, None)
        self.complete.discard(start_us)
        if sums is not None and self.complete_from_us < FOREVER_US:
            self.complete_from_us = max(self.complete_from_us, sums.end_us)
        self.of_quarter.clear()

    def expire(self, total: GroupSum, now_us: int) -> bool:
        """Remove the panes of a rolling period that have left it; return whether there were any."""
        panes = total.panes
        begin_s = (now_us - self.rolling_us) // QUARTER_US * QUARTER_S
        if not panes or total.expired_s == begin_s:
            return False
        total.expired_s = begin_s
        gone = [start_s for start_s in panes if start_s < begin_s]
        for start_s in gone:
            total.spent_pico -= panes.pop(start_s)
        if not panes:
            total.panes = None
        return bool(gone)

    def settle(self, sums: PeriodSums, result: SpendResult, position: int) -> None:
        """Replace the sums of a period by stored ones; keep earlier ones in ``sums.before``.

        All groups are marked as changed at ``position``.
        """
        assert sums.query is not None
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
        earlier = sums.groups
        sums.before = {group: total.spent_pico for group, total in earlier.items()}
        # Users without cost need no state.
        sums.groups = {
            group: GroupSum(pico, panes=panes.get(group)) for group, pico in spent.items()
            if pico or group in earlier
        }  # fmt: skip
        for group, total in earlier.items():
            now = sums.groups.setdefault(group, GroupSum())
            now.trace_id, now.unwritten_after = total.trace_id, total.unwritten_after
        sums.newer = dict(result.newer)
        sums.all_changed(position)
        sums.end_reading()
        self.complete.add(sums.start_us)
