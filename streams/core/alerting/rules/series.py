"""Add up what rules with the same filter, grouping and measures compare.

A series has panes of ten seconds by group, and the running sums of each window that slides over
them: a new pane is added, and the one that leaves the window is subtracted. Windows end with the
current pane, which is the latest one that event time has reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from producers.alerting.metric import SCORE_SOURCES, Source
from streams.core.alerting.rules.calendar import CalendarWindow
from streams.core.alerting.rules.measures import Measure
from streams.core.alerting.rules.panes import PANE_S, Group, Pane, PaneQuota
from streams.core.alerting.rules.rows import EXEMPLARS_MAX


@dataclass(slots=True)
class GroupSums:
    """The panes of a group and its sums by window."""

    panes: dict[int, Pane] = field(default_factory=dict)
    windows: list[Pane] = field(default_factory=list)
    exemplars: dict[str, int] = field(default_factory=dict)
    """The last traces that raised the value, with the starts of their panes; the latest is last."""
    last_us: int = 0
    """Append time of the last change that added observations."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What a series adds up: the changes that a filter selects, by group."""

    source: Source
    filter: tuple[tuple[str, tuple[str, ...]], ...]
    group_by: tuple[str, ...]
    measures: tuple[Measure, ...]
    bins: str
    window_s: int
    """Length of the window that slides; 0 if the window is one of a calendar."""
    calendar: str = ""
    time_zone: str = ""


@dataclass(slots=True)
class SlidingWindow:
    """A window of a series, and the groups whose sums changed since the last slide.

    Attributes:
        length_s: its length.
        touched: groups whose sums changed since the rules of the window were evaluated.
        late: panes that changed after they had left the window, with their groups.
    """

    length_s: int
    touched: set[Group] = field(default_factory=set)
    late: set[tuple[int, Group]] = field(default_factory=set)


class Series:
    """The sums of one ``SeriesKey``."""

    def __init__(
        self, key: SeriesKey, *, late_max_s: int, groups_max: int, quota: PaneQuota
    ) -> None:
        self.key = key
        self.groups: dict[Group, GroupSums] = {}
        self.windows: list[SlidingWindow] = []
        self.complete_from_s = 0
        """Start of the first pane that is complete."""
        self.calendars: list[CalendarWindow] = []
        self.groups_refused = 0
        self.late_refused = 0
        self.is_truncated = False
        """Whether a limit has refused groups or panes, so that data are missing."""
        self.is_waiting = False
        """Whether data must be read from the store, but it does not answer."""
        self.applied_to = -1
        """Offset of the last delta that was applied before the series existed."""
        self._late_max_s = late_max_s
        self._groups_max = groups_max
        self._quota = quota
        self._width = len(key.measures)
        self._by_start: dict[int, set[Group]] = {}
        self._current_s = 0

    def close(self) -> None:
        """Release the panes of a series that is no longer used."""
        self._quota.release(sum(map(len, self._by_start.values())))

    @property
    def longest_s(self) -> int:
        return max((each.length_s for each in self.windows), default=0)

    def window(self, length_s: int) -> int:
        """Return the index of the window of a length, which is added if there is none."""
        for index, each in enumerate(self.windows):
            if each.length_s == length_s:
                return index
        self.windows.append(SlidingWindow(length_s))
        for group, sums in self.groups.items():
            sums.windows.append(self.sum_of(group, self._current_s + PANE_S - length_s, length_s))
        return len(self.windows) - 1

    def add(
        self,
        start_s: int,
        group: Group,
        change: Pane,
        *,
        traces: Sequence[str] = (),
        append_us: int = 0,
        is_history: bool = False,
    ) -> None:
        """Add a change of a pane, which is not after the current one.

        Args:
            start_s: start of the pane.
            group: the group.
            change: changes of the measures and of the sketch.
            traces: traces of the change.
            append_us: append time of the change.
            is_history: whether the change is read again; then windows of the past are not
                evaluated again.
        """
        if is_history and start_s < self._oldest_s() and not self.calendars:
            return
        mine = self._group(group, start_s)
        if mine is None:
            return
        is_counted = False
        for calendar in self.calendars:
            is_counted |= calendar.add(start_s, group, change)
        if start_s >= self._oldest_s():
            self._add_to_windows(mine, start_s, group, change, is_history=is_history)
        elif not is_counted:
            self.late_refused += not is_history
            return
        if change.sums[0] > 0:
            mine.last_us = max(mine.last_us, append_us)
        for trace_id in traces[-EXEMPLARS_MAX:]:
            mine.exemplars.pop(trace_id, None)
            mine.exemplars[trace_id] = start_s
        for trace_id in list(mine.exemplars)[:-EXEMPLARS_MAX]:
            del mine.exemplars[trace_id]

    def _group(self, group: Group, start_s: int) -> GroupSums | None:
        """Return the sums of a group, which are added unless the change is too late or the limit is
        reached.
        """
        mine = self.groups.get(group)
        if mine is not None:
            return mine
        if start_s < self._oldest_s() and not self.calendars:
            self.late_refused += 1
            return None
        if len(self.groups) >= self._groups_max:
            self.groups_refused += 1
            self.is_truncated = True
            return None
        mine = self.groups[group] = GroupSums(windows=[self._empty() for _ in self.windows])
        return mine

    def _add_to_windows(
        self,
        mine: GroupSums,
        start_s: int,
        group: Group,
        change: Pane,
        *,
        is_history: bool,
    ) -> None:
        pane = mine.panes.get(start_s)
        if pane is None:
            if not self._quota.take():
                self.is_truncated = True
                return
            pane = mine.panes[start_s] = self._empty()
            self._by_start.setdefault(start_s, set()).add(group)
        pane.add(change.sums, change.bins)
        for each, total in zip(self.windows, mine.windows, strict=True):
            if start_s >= self._current_s + PANE_S - each.length_s:
                total.add(change.sums, change.bins)
                each.touched.add(group)
            elif not is_history and not (self.key.source in SCORE_SOURCES and change.sums[0] <= 0):
                # A replaced score moves to a later window: this one is not evaluated again.
                each.late.add((start_s, group))

    def slide(self, to_s: int) -> None:
        """Make the pane at ``to_s`` the current one; subtract the panes that leave windows."""
        from_s = self._current_s
        if to_s <= from_s:
            return
        self._current_s = to_s
        for calendar in self.calendars:
            calendar.slide(to_s)
        if not from_s:
            return
        for index, each in enumerate(self.windows):
            first_s, end_s = from_s + PANE_S - each.length_s, to_s + PANE_S - each.length_s
            for start_s in self._starts(first_s, end_s):
                for group in self._by_start[start_s]:
                    mine = self.groups[group]
                    pane = mine.panes[start_s]
                    mine.windows[index].add(pane.sums, pane.bins, -1)
                    each.touched.add(group)
        oldest_s = self._oldest_s()
        for start_s in [start_s for start_s in self._by_start if start_s < oldest_s]:
            for group in self._by_start.pop(start_s):
                del self.groups[group].panes[start_s]
                self._quota.release(1)

    def ends_of_changes_s(self, from_s: int, to_s: int) -> Iterator[int]:
        """Yield ends of panes from ``from_s``, exclusive, to ``to_s`` at which data leave windows.

        They come in no order, and more than once.
        """
        for each in self.windows:
            for start_s in self._starts(from_s - each.length_s, to_s - each.length_s):
                yield start_s + each.length_s + PANE_S
        for calendar in self.calendars:
            end_s = -(-calendar.end_s // PANE_S) * PANE_S + PANE_S
            if from_s < end_s <= to_s:
                yield end_s

    def sum_of(self, group: Group, start_s: int, length_s: int) -> Pane:
        """Return the sum of the panes of a group from ``start_s`` on."""
        total, mine = self._empty(), self.groups.get(group)
        if mine is None:
            return total
        for pane_s, pane in mine.panes.items():
            if start_s <= pane_s < start_s + length_s:
                total.add(pane.sums, pane.bins)
        return total

    def exemplars(self, group: Group, start_s: int, end_s: int) -> tuple[str, ...]:
        """Return the last traces of a group in a window that raised the value, the latest first."""
        mine = self.groups.get(group)
        found = {} if mine is None else mine.exemplars
        return tuple(
            trace_id for trace_id, at_s in reversed(found.items()) if start_s <= at_s < end_s
        )

    def sums(self, group: Group, window: int) -> Pane:
        """Return the sums of a group in a window that ends with the current pane."""
        mine = self.groups.get(group)
        return self._empty() if mine is None else mine.windows[window]

    def clear_touched(self) -> None:
        """Begin to collect the groups that change until the next slide."""
        for window in self.windows:
            window.touched.clear()
            window.late.clear()

    def forget(self, keep: Any) -> None:
        """Remove the groups without panes for which ``keep(group)`` is false."""
        for group in [group for group, mine in self.groups.items() if not mine.panes]:
            if not keep(group) and not any(group in each for each in self.calendars):
                del self.groups[group]
                for each in self.windows:
                    each.touched.discard(group)

    def _oldest_s(self) -> int:
        if not self._current_s:
            return 0
        return self._current_s + PANE_S - self.longest_s - self._late_max_s

    def _starts(self, first_s: int, end_s: int) -> Iterable[int]:
        if (end_s - first_s) // PANE_S < len(self._by_start):
            return [at_s for at_s in range(first_s, end_s, PANE_S) if at_s in self._by_start]
        return [at_s for at_s in self._by_start if first_s <= at_s < end_s]

    def _empty(self) -> Pane:
        return Pane([0] * self._width, {})
