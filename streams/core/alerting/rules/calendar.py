"""Add up calendar windows: the sums of the current day, week or month of a time zone."""

from __future__ import annotations

from functools import lru_cache

from producers.control.periods import period_bounds
from streams.core.alerting.rules.panes import Group, Pane

_SECOND_US = 1_000_000


@lru_cache(maxsize=65_536)
def bounds_s(calendar: str, time_zone: str, at_s: int) -> tuple[int, int]:
    """Return the start and the end of the period of an instant.

    Raises:
        ValueError: there is no such period.
    """
    start_us, end_us = period_bounds(calendar, time_zone, at_s * _SECOND_US)
    return start_us // _SECOND_US, -(-end_us // _SECOND_US)


class CalendarWindow:
    """The sums of the current period by group; it is a listener of a series."""

    def __init__(self, calendar: str, time_zone: str, width: int) -> None:
        self.calendar = calendar
        self.time_zone = time_zone
        self.start_s, self.end_s = 0, 0
        self.touched: set[Group] = set()
        self._width = width
        self._sums: dict[Group, Pane] = {}

    def add(self, start_s: int, group: Group, change: Pane) -> bool:
        """Add a change; return whether it belongs to the current period."""
        if not self.start_s <= start_s < self.end_s:
            return False
        mine = self._sums.get(group)
        if mine is None:
            mine = self._sums[group] = Pane([0] * self._width, {})
        mine.add(change.sums, change.bins)
        self.touched.add(group)
        return True

    def slide(self, to_s: int) -> bool:
        """Begin the period of ``to_s`` if it is a new one; return whether it is."""
        if to_s < self.end_s:
            return False
        self.start_s, self.end_s = bounds_s(self.calendar, self.time_zone, to_s)
        self.touched |= self._sums.keys()
        self._sums = {}
        return True

    def sums(self, group: Group) -> Pane:
        """Return the sums of a group in the current period."""
        return self._sums.get(group) or Pane([0] * self._width, {})

    def __contains__(self, group: object) -> bool:
        return group in self._sums
