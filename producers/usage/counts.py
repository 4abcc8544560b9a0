"""Add up the counts of all gateways, without I/O.

Each gateway process writes its absolute counts under its own key. Reading them again, in any order,
changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
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


class UsageCounts:
    """The counts of the current day and month, of this process and of all others.

    Memory is proportional to the number of counted projects and of gateway processes in a month.
    """

    def __init__(
        self, *, now_s: Callable[[], float] = time.time, gateway_id: str | None = None
    ) -> None:
        self.now_s = now_s
        self.gateway_id = gateway_id or secrets.token_hex(8)
        self._today = Today.of(now_s())
        self._own: dict[tuple[str, str], list[int]] = {}
        """Events and bytes, by project and period."""
        self._others: dict[tuple[str, str], Used] = {}
        self._records: dict[str, UsageRecord] = {}
        """Records of other processes, by key."""
        self._changed: set[str] = set()
        self._removed: set[str] = set()

    @property
    def today(self) -> Today:
        """Return the current day; when it changes, drop the counts of past periods."""
        now_s = self.now_s()
        if now_s >= self._today.ends_s:
            self._today = Today.of(now_s)
            self._own = {key: used for key, used in self._own.items() if self._is_current(key[1])}
            for key in [key for key, each in self._records.items() if each.month < self._month]:
                self.remove(key)
        return self._today

    def used(self, project_id: str, period: QuotaPeriod) -> Used:
        """Return what a project has sent in the current period."""
        return Used(*self.amounts(project_id, period))

    def amounts(self, project_id: str, period: QuotaPeriod) -> Sequence[int]:
        """Return the same as a plain pair of numbers, which is faster."""
        today = self.today
        key = (project_id, today.day if period == "day" else today.month)
        own = self._own.get(key, NOTHING)
        others = self._others.get(key)
        return own if others is None else (own[0] + others[0], own[1] + others[1])

    def add(self, project_id: str, events: int, size: int) -> None:
        """Count what a project sends; negative amounts are subtracted."""
        today = self.today
        for name in (today.day, today.month):
            own = self._own.get((project_id, name))
            if own is None:
                own = self._own[project_id, name] = [0, 0]
            own[0] += events
            own[1] += size
            if own[0] < 0 or own[1] < 0:  # the amount was counted before midnight
                own[:] = max(own[0], 0), max(own[1], 0)
        self._changed.add(project_id)

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
        for owned, name in [key for key in self._own if key[0] == project_id]:
            del self._own[owned, name]
            self._removed.add(self._key(name[:7], project_id))
        self._changed.discard(project_id)

    def remove(self, key: str) -> None:
        """Remove a record of another process, here and from the topic."""
        self._add_others(self._records.pop(key), -1)
        self._removed.add(key)

    def take_unwritten(self) -> dict[str, bytes | None]:
        """Return the records that have to be written, by key; None is a tombstone."""
        today = self.today
        unwritten: dict[str, bytes | None] = dict.fromkeys(self._removed)
        for project_id in self._changed:
            month = self._own.get((project_id, today.month), NOTHING)
            day = self._own.get((project_id, today.day), NOTHING)
            record = UsageRecord(
                project_id=project_id,
                month=today.month,
                month_events=month[0],
                month_bytes=month[1],
                day=today.day,
                day_events=day[0],
                day_bytes=day[1],
            )
            unwritten[self._key(today.month, project_id)] = msgspec.json.encode(record)
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

    @property
    def _month(self) -> str:
        return self._today.month

    def _is_current(self, name: str) -> bool:
        return name in {self._today.day, self._today.month}

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
