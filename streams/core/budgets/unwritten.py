"""Choose which changed groups are written by a flush, if there are too many for one.

A position is the offset of the last delta that a flush had before it. Each changed group is listed
at the position before its first change that is not written yet. So all changes up to the lowest
position with a group are written, and the log is applied again from there after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streams.core.budgets.limits import Group
from streams.core.budgets.sums import PeriodSums


class Quota:
    """The number of groups that a flush may still write.

    Attributes:
        left: the number; None: any number.
        overdue: groups that have waited since this position or longer are written regardless.
    """

    def __init__(self, left: int | None, overdue: int) -> None:
        self.left = left
        self.overdue = overdue

    def covers(self, position: int) -> bool:
        """Return whether a group at a position may be written, and count it."""
        if self.left is None or position <= self.overdue:
            return True
        self.left -= 1
        return self.left >= 0


def positions(all_sums: Iterable[PeriodSums]) -> set[int]:
    """Return the positions with groups."""
    return {position for sums in all_sums for position in sums.unwritten}


def taken(all_sums: Iterable[PeriodSums], quota: Quota) -> dict[int, list[Group]]:
    """Return the groups to write by ``id`` of their period, those that wait for longest first.

    They are not listed any more. Urgent ones, and those that limits have marked, are among them.
    """
    found: dict[int, list[Group]] = {}
    changed = [sums for sums in all_sums if sums.unwritten]
    for sums in changed:
        marked = [limit.dirty.get(sums.start_us, ()) for limit in sums.limits]
        found[id(sums)] = list(_of(sums, sums.urgent.union(*marked)))
        sums.urgent = set()
    for position in sorted(positions(changed)):
        for sums in changed:
            waiting = sums.unwritten.get(position)
            if waiting is None:
                continue
            chosen = found[id(sums)]
            while waiting:
                total = sums.groups.get(waiting[-1])
                if total is None or total.unwritten_after != position:
                    waiting.pop()  # it was written or removed meanwhile
                elif quota.covers(position):
                    total.unwritten_after = None
                    chosen.append(waiting.pop())
                else:
                    return found
            del sums.unwritten[position]
    return found


def _of(sums: PeriodSums, groups: Iterable[Group]) -> Iterator[Group]:
    """Yield the groups with a change that is not written, which they do not have from now on."""
    for group in groups:
        total = sums.groups.get(group)
        if total is not None and total.unwritten_after is not None:
            total.unwritten_after = None
            yield group
