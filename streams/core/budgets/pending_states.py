"""Collect the states that the next flush writes, and those that wait for a later one."""

from __future__ import annotations

from collections import deque
from typing import Final

from streams.core.alerting.evaluator import State
from streams.core.budgets.groups import LimitGroups
from streams.core.budgets.limit_set import LimitSet
from streams.core.budgets.sums import PeriodSums
from streams.core.budgets.unwritten import Quota, positions, taken
from streams.core.budgets.writing import (
    Position,
    has_changes,
    removed_states,
    state_of_limit,
    states_of_groups,
)

NO_POSITION: Final = -2
"""Before all positions, which begin with -1."""


class PendingStates:
    """The states of the limits of a partition that are not written yet.

    Attributes:
        version: the highest version of a row.
    """

    def __init__(self, limits: LimitSet, delay_max_us: int) -> None:
        """Create it.

        Args:
            limits: the limits.
            delay_max_us: maximum time for which the state of a group waits because there are too
                many.
        """
        self.version = 0
        self._set = limits
        self._delay_max_us = delay_max_us
        self._limits: dict[tuple[str, str], None] = {}
        self._removed: list[State] = []
        self._flushes: deque[tuple[int, int]] = deque()
        """Position and time of the flushes since the longest delay, each position once, and of the
        last one before it."""

    def mark(self, limit: LimitGroups) -> None:
        """Write the row of a limit with the next flush."""
        self._limits[limit.rule.id] = None

    def add_removed(self, states: list[State]) -> None:
        """Write the removal of states with the next flush."""
        self._removed += states

    def remove_groups(self, limit: LimitGroups, sums: PeriodSums, at: Position) -> None:
        """Remove the states of the groups of a limit in a period."""
        self._removed += removed_states(limit, sums, at)

    def remove_limit(self, limit: LimitGroups, at: Position) -> None:
        """Remove the state of a limit."""
        self._removed.append(state_of_limit(limit, at, is_deleted=True))

    def next_position(self, offset: int, now_us: int) -> Position:
        """Return the position of rows that are written now, with a new version."""
        self.version = max(self.version + 1, now_us)
        return Position(offset, now_us, self.version)

    def take(self, count_max: int | None, offset: int, now_us: int) -> list[State]:
        """Return the states to write now.

        Args:
            count_max: maximum number of groups whose states are written although nothing requires
                it; None: any number. States of whole limits are written after those of all groups.
            offset: offset of the last applied delta.
            now_us: the current time.
        """
        removed, self._removed = self._removed, []
        meters = self._set.meters
        states: list[State] = []
        overdue = self._overdue(now_us)
        if removed or self._limits or any(map(has_changes, meters)):
            at = self.next_position(offset, now_us)
            quota = Quota(None if self._limits else count_max, overdue)
            groups = taken(meters.all_sums(), quota)
            states = [*removed, *states_of_groups(meters, groups, at)]
            is_partial = bool(self._set.is_partial)
            for budget_id, name in self._limits:
                limit = self._set.get(budget_id, name)
                if limit is not None:
                    states.append(state_of_limit(limit, at, is_partial=is_partial))
            self._limits.clear()
        self._begin_position(offset, now_us)
        return states

    def _begin_position(self, offset: int, now_us: int) -> None:
        if self._flushes and self._flushes[-1][0] == offset:
            self._flushes.pop()  # nothing has changed since it
        self._flushes.append((offset, now_us))
        self._set.meters.position = offset

    @property
    def written_to(self) -> int | None:
        """Return the offset up to which all changes are contained in states; None: all are."""
        return min(positions(self._set.meters.all_sums()), default=None)

    def _overdue(self, now_us: int) -> int:
        """Return the last position older than the longest delay, and forget those before it."""
        flushes = self._flushes
        due_us = now_us - self._delay_max_us
        while len(flushes) > 1 and flushes[1][1] <= due_us:
            flushes.popleft()
        return flushes[0][0] if flushes and flushes[0][1] <= due_us else NO_POSITION
