"""Keep the events that wait until the trace of their observation is found.

Each event is looked up immediately, then with growing pauses, and placed in the trace that is
found. If no trace is found, the event is placed in its own trace. This happens when its deadline
has passed and all events that were accepted before the deadline are stored, so that its observation
cannot be among them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

ObservationKey = tuple[str, str]
"""Ids of project and observation."""
Outcome = Literal["found", "deadline", "waiting_max", "waiting_bytes_max"]


class WaitingEvent(msgspec.Struct, eq=False):
    """An event whose trace has not been found yet.

    Attributes:
        ids: observations whose trace is that of the event; the first one that is found counts.
        own_trace_id: id of the event's own trace, if no trace is found.
        line: the event as JSON, in its own trace.
        offset: offset of the record.
        since_us: time when the event was first appended to the topic.
        append_us: time when this record was appended.
    """

    project_id: str
    ids: tuple[str, ...]
    own_trace_id: str
    line: bytes
    offset: int
    since_us: int
    append_us: int
    lookups: int = 0
    next_us: int = 0
    is_placed: bool = False

    def __lt__(self, other: WaitingEvent) -> bool:
        return self.next_us < other.next_us

    @property
    def keys(self) -> tuple[ObservationKey, ...]:
        return tuple((self.project_id, each) for each in self.ids)


@dataclass(frozen=True, slots=True)
class WaitingLimits:
    """Limits of the events that wait (``streams.placement.settings`` describes them)."""

    wait_max_us: int = 600_000_000
    waiting_max: int = 20_000
    waiting_bytes_max: int = 64 * 2**20
    lookup_events_max: int = 500
    first_pause_us: int = 200_000
    pause_max_us: int = 10_000_000
    record_age_max_us: int = 30_000_000


@dataclass(frozen=True, slots=True)
class Placement:
    """An event, the trace in which it is placed, and the reason."""

    event: WaitingEvent
    trace_id: str
    outcome: Outcome


class WaitingEvents:
    """The waiting events of a partition, and their records."""

    def __init__(self, limits: WaitingLimits) -> None:
        self._limits = limits
        self._due: list[WaitingEvent] = []
        """A heap by the time of the next lookup; placed events are removed lazily."""
        self._of_project: dict[str, dict[int, WaitingEvent]] = {}
        """Waiting events of each project by ``id()``, the oldest first."""
        self._records: deque[tuple[int, list[WaitingEvent]]] = deque()
        """Offsets of unfinished records, in order, with their events."""
        self.count = 0
        self.bytes = 0

    def add(self, offset: int, events: Iterable[WaitingEvent]) -> None:
        """Add the next record; its events are due immediately."""
        added = list(events)
        self._records.append((offset, added))
        for event in added:
            self.count += 1
            self.bytes += len(event.line)
            self._of_project.setdefault(event.project_id, {})[id(event)] = event
            heapq.heappush(self._due, event)

    def next_due_us(self) -> int | None:
        """Return the time when the next event is due; None if no event waits."""
        while self._due and self._due[0].is_placed:
            heapq.heappop(self._due)
        return self._due[0].next_us if self._due else None

    @property
    def has_new(self) -> bool:
        """Return whether an event waits that was not looked up since it was added."""
        return self.next_due_us() == 0

    def due(self, now_us: int) -> list[WaitingEvent]:
        """Remove and return the events to look up now, at most ``lookup_events_max``.

        The caller must pass all of them to ``resolve``.
        """
        found: list[WaitingEvent] = []
        while len(found) < self._limits.lookup_events_max:
            next_us = self.next_due_us()
            if next_us is None or next_us > now_us:
                break
            found.append(heapq.heappop(self._due))
        return found

    def is_past_deadline(self, event: WaitingEvent, at_us: int) -> bool:
        return event.since_us + self._limits.wait_max_us <= at_us

    def resolve(
        self,
        events: Iterable[WaitingEvent],
        traces: Mapping[ObservationKey, str],
        now_us: int,
        stored_us: int,
    ) -> list[Placement]:
        """Place the events that were looked up if a trace was found or the deadline has passed.

        Args:
            events: the events that were looked up.
            traces: the traces that were found, by observation.
            now_us: the current time.
            stored_us: events accepted before this time were stored before the lookup.
        """
        limits = self._limits
        placements: list[Placement] = []
        for event in events:
            event.lookups += 1
            trace_id = next((traces[key] for key in event.keys if key in traces), None)
            if trace_id is not None:
                placements.append(self._placed(event, trace_id, "found"))
            elif self.is_past_deadline(event, stored_us):
                placements.append(self._placed(event, event.own_trace_id, "deadline"))
            else:
                pause_us = min(
                    limits.first_pause_us << min(event.lookups - 1, 30), limits.pause_max_us
                )
                event.next_us = now_us + pause_us
                heapq.heappush(self._due, event)
        return placements

    def evict(self) -> list[Placement]:
        """Place events in their own traces while more events wait than the limits allow.

        The oldest event of the project with the most waiting events is placed first. Call this only
        when every event has been looked up at least once.
        """
        limits = self._limits
        placements: list[Placement] = []
        while True:
            outcome: Outcome
            if self.count > limits.waiting_max:
                outcome = "waiting_max"
            elif self.bytes > limits.waiting_bytes_max:
                outcome = "waiting_bytes_max"
            else:
                return placements
            most = max(self._of_project.values(), key=len)
            oldest = next(iter(most.values()))
            placements.append(self._placed(oldest, oldest.own_trace_id, outcome))

    def old(self, now_us: int) -> list[WaitingEvent]:
        """Remove and return the events of records older than ``record_age_max_us``.

        They continue to wait in a new record, so that a single event does not prevent the commit of
        later offsets.
        """
        removed: list[WaitingEvent] = []
        for _, events in self._records:
            waiting = [event for event in events if not event.is_placed]
            if waiting and waiting[0].append_us + self._limits.record_age_max_us > now_us:
                break
            for event in waiting:
                self._remove(event)
                removed.append(event)
        return removed

    def drop_project(self, project_id: str) -> int:
        """Remove the events of a project; return how many there were."""
        events = list(self._of_project.get(project_id, {}).values())
        for event in events:
            self._remove(event)
        return len(events)

    @property
    def projects(self) -> list[str]:
        """Return the projects of the waiting events."""
        return list(self._of_project)

    def done(self) -> list[int]:
        """Remove and return the offsets of finished records without unfinished ones before them.

        Call this when placed events are acknowledged.
        """
        offsets = []
        while self._records and all(event.is_placed for event in self._records[0][1]):
            offsets.append(self._records.popleft()[0])
        return offsets

    def _placed(self, event: WaitingEvent, trace_id: str, outcome: Outcome) -> Placement:
        self._remove(event)
        return Placement(event, trace_id, outcome)

    def _remove(self, event: WaitingEvent) -> None:
        event.is_placed = True
        self.count -= 1
        self.bytes -= len(event.line)
        of_project = self._of_project[event.project_id]
        del of_project[id(event)]
        if not of_project:
            del self._of_project[event.project_id]
