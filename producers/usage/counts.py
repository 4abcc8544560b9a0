"""Add up the counts of all gateways, without I/O.

Each gateway process writes its absolute counts under its own key. Reading them again, in any order,
changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from producers.usage.periods import QuotaPeriod, Today


class Used(NamedTuple):
    """Events and bytes that a project has sent in a period."""

    events: int
    bytes: int


NOTHING = Used(0, 0)


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one gateway process for a project: a value of the topic ``usage``."""

    project_id: str
    month: str
    month_events: int
    month_bytes: int
    day: str
    """The last day with a count. Earlier days are included only in the counts of the month."""
    day_events: int
    day_bytes: int

    def counts(self) -> Iterator[tuple[tuple[str, str], Used]]:
        """Yield the count of each period, with its key (project, period)."""
        yield (self.project_id, self.month), Used(self.month_events, self.month_bytes)
        yield (self.project_id, self.day), Used(self.day_events, self.day_bytes)


class ProjectCounts:
    """What one project has sent on the current day and in the current month.

    The lists are changed in place, so that quotas can keep them.
    """

    __slots__ = ("day", "month", "own_day", "own_month", "project_id")

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.own_day = [0, 0]
        """Events and bytes that this process has counted."""
        self.own_month = [0, 0]
        self.day = [0, 0]
        """Events and bytes that all gateways have counted."""
        self.month = [0, 0]

    def of(self, period: QuotaPeriod) -> list[int]:
        """Return the events and bytes of all gateways in the current period."""
        return self.day if period == "day" else self.month


class UsageCounts:
    """The counts of the current day and month, of this process and of all others.

    Memory is at most proportional to the number of counted projects, times the number of gateway
    processes in a month.
    """

    def __init__(
        self, *, now_s: Callable[[], float] = time.time, gateway_id: str | None = None
    ) -> None:
        self.now_s = now_s
        self.gateway_id = gateway_id or secrets.token_hex(8)
        self._today = Today.of(now_s())
        self.day_ends_s = self._today.ends_s
        """From this time on, read ``today`` before the counts: it removes those of past periods."""
        self._projects: dict[str, ProjectCounts] = {}
        self._others: dict[tuple[str, str], Used] = {}
        """What other processes have counted, by project and period."""
        self._records: dict[str, UsageRecord] = {}
        """Records of other processes, by key."""
        self._changed: set[str] = set()
        self._removed: set[str] = set()

    @property
    def today(self) -> Today:
        """Return the current day; when it changes, drop the counts of past periods."""
        now_s = self.now_s()
        if now_s >= self.day_ends_s:
            self._begin_day(now_s)
        return self._today

    def _begin_day(self, now_s: float) -> None:
        month = self._today.month
        self._today = Today.of(now_s)
        self.day_ends_s = self._today.ends_s
        for counts in self._projects.values():
            counts.own_day[:] = 0, 0
            if month != self._today.month:
                counts.own_month[:] = 0, 0
            self._add_up(counts)
        for key in [key for key, each in self._records.items() if each.month < self._today.month]:
            self.remove(key)

    def of(self, project_id: str) -> ProjectCounts:
        """Return the counts of a project, which are kept up to date until it is forgotten."""
        counts = self._projects.get(project_id)
        if counts is None:
            counts = self._projects[project_id] = ProjectCounts(project_id)
            self._add_up(counts)
        return counts

    def used(self, project_id: str, period: QuotaPeriod) -> Used:
        """Return what a project has sent in the current period."""
        today = self.today
        counts = self._projects.get(project_id)
        if counts is not None:
            return Used(*counts.of(period))
        return self._others.get(
            (project_id, today.day if period == "day" else today.month), NOTHING
        )

    def add(self, project_id: str, events: int, size: int) -> None:
        """Count what a project sends; negative amounts are subtracted."""
        self.add_to(self.of(project_id), events, size)

    def add_to(self, counts: ProjectCounts, events: int, size: int) -> None:
        """Like ``add``, but without looking up the counts of the project."""
        if self.now_s() >= self.day_ends_s:
            self._begin_day(self.now_s())
        # Not a loop, because this is done for each request.
        amounts = counts.own_day
        amounts[0] += events
        amounts[1] += size
        amounts = counts.own_month
        amounts[0] += events
        amounts[1] += size
        amounts = counts.day
        amounts[0] += events
        amounts[1] += size
        amounts = counts.month
        amounts[0] += events
        amounts[1] += size
        if events < 0 or size < 0:
            for amounts in (counts.own_day, counts.own_month):
                # The subtracted amounts may have been counted before midnight, on the previous day.
                amounts[:] = max(amounts[0], 0), max(amounts[1], 0)
            self._add_up(counts)
        self._changed.add(counts.project_id)

    def apply(self, key: str, value: bytes | None) -> None:
        """Apply a record of the topic.

        Raises:
            msgspec.DecodeError: the value is not a ``UsageRecord``.
        """
        month, _, rest = key.partition("/")
        if rest.partition("/")[0] == self.gateway_id:
            return
        record = None if value is None else msgspec.json.decode(value, type=UsageRecord)
        before = self._records.pop(key, None)
        if before is not None:
            self._add_others(before, -1)
        if record is None:
            return
        if month < self.today.month:
            self._removed.add(key)
            return
        self._records[key] = record
        self._add_others(record, 1)

    def forget(self, project_id: str) -> None:
        """Remove the counts of a deleted project."""
        for key in [key for key, each in self._records.items() if each.project_id == project_id]:
            self.remove(key)
        if self._projects.pop(project_id, None) is not None:
            self._removed.add(self._key(self._today.month, project_id))
        self._changed.discard(project_id)

    def remove(self, key: str) -> None:
        """Remove a record of another process, here and from the topic."""
        self._add_others(self._records.pop(key), -1)
        self._removed.add(key)

    def take_unwritten(self) -> dict[str, bytes | None]:
        """Return the records that have to be written, by key; None is a tombstone."""
        today = self.today
        unwritten: dict[str, bytes | None] = dict.fromkeys(self._removed)
        for counts in filter(None, map(self._projects.get, self._changed)):
            record = UsageRecord(
                project_id=counts.project_id,
                month=today.month,
                month_events=counts.own_month[0],
                month_bytes=counts.own_month[1],
                day=today.day,
                day_events=counts.own_day[0],
                day_bytes=counts.own_day[1],
            )
            unwritten[self._key(today.month, counts.project_id)] = msgspec.json.encode(record)
        self._removed.clear()
        self._changed.clear()
        return unwritten

    def not_written(self, unwritten: dict[str, bytes | None]) -> None:
        """Mark records as unwritten again, because the broker did not accept them."""
        for key, value in unwritten.items():
            if value is None:
                self._removed.add(key)
            else:
                self._changed.add(key.split("/", 2)[2])

    def _key(self, month: str, project_id: str) -> str:
        return f"{month}/{self.gateway_id}/{project_id}"

    def _add_others(self, record: UsageRecord, sign: int) -> None:
        for key, count in record.counts():
            before = self._others.get(key, NOTHING)
            after = Used(before.events + sign * count.events, before.bytes + sign * count.bytes)
            if after == NOTHING:
                self._others.pop(key, None)
            else:
                self._others[key] = after
        counts = self._projects.get(record.project_id)
        if counts is not None:
            self._add_up(counts)

    def _add_up(self, counts: ProjectCounts) -> None:
        """Compute the counts of all gateways from this process's and those of others."""
        for total, own, name in (
            (counts.day, counts.own_day, self._today.day),
            (counts.month, counts.own_month, self._today.month),
        ):
            others = self._others.get((counts.project_id, name), NOTHING)
            total[:] = own[0] + others[0], own[1] + others[1]
