"""A simulated installation around the stage that places events without a trace id."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from producers.unplaced_events import encode_unplaced
from streams.core.placement.lines import events_of, placed_line, waiting_line
from streams.core.placement.waiting import Placement, WaitingEvents, WaitingLimits
from tracemill.contract import Observation, Score, decode_event

LIMITS = WaitingLimits(
    wait_max_us=1_000,
    waiting_max=1_000,
    waiting_bytes_max=10_000_000,
    lookup_events_max=3,
    first_pause_us=10,
    pause_max_us=100,
    record_age_max_us=150,
)


class Crashed(Exception):
    """The worker was killed."""


@dataclass
class Worker:
    """What a worker has in memory."""

    waiting: WaitingEvents
    next_offset: int


@dataclass
class World:
    """The logs, the store and one worker, which crashes at random between any two effects."""

    chance: Random
    limits: WaitingLimits = LIMITS
    crash_share: float = 0.1
    now_us: int = 1_000_000
    unplaced: list[tuple[int, bytes]] = field(default_factory=list)
    """Time and value of each record."""
    events: list[bytes] = field(default_factory=list)
    outcomes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    stored_at_us: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """When each observation can be read in the store, and its trace."""
    committed: int = 0
    worker: Worker | None = None
    stored_us: int = 0

    def update(self, *events: Observation | Score) -> None:
        """Append a record of events whose trace is not known."""
        self.unplaced.append((self.now_us, b"\n".join(encode_unplaced(each) for each in events)))

    def create(self, project_id: str, observation_id: str, trace_id: str, delay_us: int) -> None:
        """Create an observation, which the store has after ``delay_us``."""
        self.stored_at_us[project_id, observation_id] = (self.now_us + delay_us, trace_id)

    def step(self) -> None:
        """Let some time pass, then let the worker do one step, or die."""
        self.now_us += self.chance.randrange(40)
        if self.worker is None:
            self.worker = Worker(WaitingEvents(self.limits), self.committed)
        try:
            self._work(self.worker)
        except Crashed:
            self.worker = None

    def _maybe_crash(self) -> None:
        if self.chance.random() < self.crash_share:
            raise Crashed

    def _work(self, worker: Worker) -> None:
        waiting = worker.waiting
        for _ in range(self.chance.randrange(3)):
            if worker.next_offset < len(self.unplaced):
                append_us, value = self.unplaced[worker.next_offset]
                found, unreadable = events_of(value, worker.next_offset, append_us)
                assert not unreadable
                waiting.add(worker.next_offset, found)
                worker.next_offset += 1
        placements: list[Placement] = []
        stored_us = self._stored_us()
        while due := waiting.due(self.now_us):
            traces = {
                key: self.stored_at_us[key][1]
                for event in due
                for key in event.keys
                if key in self.stored_at_us and self.stored_at_us[key][0] <= self.now_us
            }
            placements += waiting.resolve(due, traces, self.now_us, stored_us)
            if not waiting.has_new:
                break
        placements += waiting.evict()
        self._maybe_crash()
        for each in placements:
            self.events.append(placed_line(each.event, each.trace_id))
            self.outcomes[each.event.own_trace_id].add(each.outcome)
            self._maybe_crash()
        old = waiting.old(self.now_us)
        if old:
            self.unplaced.append((self.now_us, b"\n".join(map(waiting_line, old))))
            self._maybe_crash()
        for offset in waiting.done():
            assert offset == self.committed, "no record is passed over"
            self.committed = offset + 1
            self._maybe_crash()

    def _stored_us(self) -> int:
        """Return a time before which all creates of then are stored; it never goes back."""
        pending = [at_us for at_us, _ in self.stored_at_us.values() if at_us > self.now_us]
        if not pending and self.chance.random() < 0.5:
            self.stored_us = self.now_us
        return self.stored_us

    def run(self) -> None:
        """Go on until every event was placed, without crashes at the end."""
        for _ in range(2_000):
            self.step()
            if self.committed == len(self.unplaced):
                return
        self.crash_share = 0.0
        for _ in range(2_000):
            self.step()
            if self.committed == len(self.unplaced):
                return
        raise AssertionError("events still wait")

    def placed(self) -> dict[str, set[str]]:
        """Return the traces in which each event was placed, by its name."""
        traces: dict[str, set[str]] = defaultdict(set)
        for line in self.events:
            event = decode_event(line)
            assert isinstance(event, Observation | Score)
            traces[event.name or ""].add(event.trace_id or "")
        return traces
