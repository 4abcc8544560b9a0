"""Process the partition of the topic of unplaced events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from streams.core.placement.lines import events_of, placed_line, waiting_line
from streams.core.placement.waiting import Placement, WaitingEvent, WaitingEvents
from streams.placement import metrics
from streams.placement.lookup import Lookup
from streams.placement.settings import PlacementSettings
from streams.runtime.event_wait import set_within
from streams.runtime.lag import THE_STORE, Backlog, Lag, Position
from streams.runtime.partition_worker import SourceMessage
from tracemill.clock import now_us

LOOKUPS_BEFORE_ALL: Final = 2
"""Lookups of an event in recent days before one in all days."""

log = structlog.get_logger(__name__)


class Output(Protocol):
    """An interface to append lines to topics; it returns when they are acknowledged."""

    async def to_events(self, lines: Iterable[tuple[str, str, bytes]]) -> None:
        """Append lines, each with its project and trace, to the topic of events."""

    async def to_waiting(self, lines: Iterable[bytes]) -> None:
        """Append lines to the topic that this stage reads."""


@dataclass(frozen=True, slots=True)
class PlacementContext:
    """The dependencies of the stage.

    Attributes:
        wait_until_processed: waits until all current records of the log are stored.
        is_deleted: returns whether a project is deleted or being deleted.
    """

    settings: PlacementSettings
    lookup: Callable[[Callable[[bool], None]], Lookup]
    output: Output
    wait_until_processed: Callable[[], Awaitable[None]]
    is_deleted: Callable[[str], bool]


class PlacementPartition:
    """A worker that looks up the traces of events and appends the events to the topic ``events``.

    1. Read records. 2. Look up the events that are due. 3. Append placed events to the topic
    ``events``, and events of old records to the topic of unplaced events again. 4. Acknowledge the
    records whose events were all appended. After a crash before step 4, events are appended again.
    This changes nothing, because they are updates with the same content and time.
    """

    def __init__(self, context: PlacementContext) -> None:
        self.is_restored = True
        self._context = context
        self._settings = settings = context.settings
        self._lookup = context.lookup(self._store_failed)
        self._waiting = WaitingEvents(settings.limits)
        self._inbox: asyncio.Queue[SourceMessage] = asyncio.Queue(settings.inbox_records_max)
        self._has_input = asyncio.Event()
        self._acks: dict[int, Callable[[], object]] = {}
        self._backlog = Backlog()
        self._received_to = self._read_to = self._looked_up_to = 0
        self._waits_for = ""
        self._steps = 0
        self._stored_us = 0
        """Time before which all accepted events are stored."""
        self._progress: asyncio.Task[None] | None = None
        self._is_writing = asyncio.Lock()

    async def run(self) -> None:
        try:
            while True:
                await self._until_due()
                async with self._is_writing:
                    await self._step()
        finally:
            metrics.WAITING.set(0)
            if self._progress is not None:
                self._progress.cancel()
                await asyncio.gather(self._progress, return_exceptions=True)

    @property
    def is_full(self) -> bool:
        return self._inbox.full()

    async def put(self, message: SourceMessage) -> None:
        self._received_to = message.offset + 1
        self._backlog.received(message.offset, message.append_us / 1e6)
        await self._inbox.put(message)
        self._has_input.set()

    async def finish(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.revoke_timeout_s):
                await self._is_writing.acquire()

    def lag(self, end: int | None, now_s: float) -> Lag:
        return self._backlog.lag(end, now_s)

    def position(self) -> Position:
        return Position(self._looked_up_to, self._received_to, self._waits_for, self._steps)

    async def _until_due(self) -> None:
        next_us = self._waiting.next_due_us()
        if next_us is None:
            await self._has_input.wait()
        else:
            await set_within(self._has_input, max(0.0, (next_us - now_us()) / 1e6))

    async def _step(self) -> None:
        """Run steps 1 to 4 once."""
        unreadable = self._read()
        placements = await self._look_up()
        placements += self._waiting.evict()
        await self._append(placements, unreadable, self._waiting.old(now_us()))
        for offset in self._waiting.done():
            self._acks.pop(offset)()
        self._steps += 1
        metrics.WAITING.set(self._waiting.count)

    def _read(self) -> list[bytes]:
        """Add records until they have enough events for one query; return their invalid lines.

        Events of deleted projects are dropped.
        """
        unreadable: list[bytes] = []
        count = 0
        while count < self._settings.lookup_events_max and not self._inbox.empty():
            message = self._inbox.get_nowait()
            is_read_again = message.offset in self._acks
            self._acks[message.offset] = message.ack
            if is_read_again:
                continue
            events, others = events_of(message.value, message.offset, message.append_us)
            unreadable += others
            self._waiting.add(message.offset, events)
            self._read_to = message.offset + 1
            count += len(events)
        if self._inbox.empty():
            self._has_input.clear()
        for project_id in self._waiting.projects:
            if self._context.is_deleted(project_id):
                metrics.DROPPED.inc(self._waiting.drop_project(project_id))
        return unreadable

    async def _look_up(self) -> list[Placement]:
        """Look up all new events, and at least one batch of those that are due."""
        placements: list[Placement] = []
        while events := self._waiting.due(now_us()):
            at_us, stored_us = now_us(), self._stored_us
            found: dict[tuple[str, str], str] = {}
            last = [each for each in events if self._searches_all(each, stored_us)]
            recent = [each for each in events if not self._searches_all(each, stored_us)]
            for some, everywhere in ((recent, False), (last, True)):
                if some:
                    keys = [key for event in some for key in event.keys]
                    found |= await self._lookup.traces(keys, at_us, everywhere=everywhere)
            placements += self._waiting.resolve(events, found, now_us(), stored_us)
            if any(self._waiting.is_past_deadline(each, at_us) for each in events):
                self._request_progress()
            if not self._waiting.has_new:
                break  # append what was placed, however many others are due
        self._looked_up_to = self._read_to
        self._backlog.done(self._read_to)
        return placements

    def _searches_all(self, event: WaitingEvent, stored_us: int) -> bool:
        is_last = self._waiting.is_past_deadline(event, stored_us)
        return is_last or event.lookups == LOOKUPS_BEFORE_ALL

    def _request_progress(self) -> None:
        """Start to wait, in the background, until all events accepted so far are stored."""
        if self._progress is None or self._progress.done():
            self._progress = asyncio.create_task(
                self._wait_for_progress(), name="placement progress"
            )

    async def _wait_for_progress(self) -> None:
        begun_us = now_us()
        try:
            await self._context.wait_until_processed()
        except Exception as error:  # noqa: BLE001  # any failure may be temporary
            log.warning("progress_unknown", reason=repr(error))
        else:
            self._stored_us = begun_us

    async def _append(
        self, placements: list[Placement], unreadable: list[bytes], old: list[WaitingEvent]
    ) -> None:
        lines = [
            (each.event.project_id, each.trace_id, placed_line(each.event, each.trace_id))
            for each in placements
        ]
        # The next stage writes dead letters for invalid lines.
        lines += [("", "", line) for line in unreadable]
        if lines:
            await self._context.output.to_events(lines)
        if old:
            await self._context.output.to_waiting([waiting_line(event) for event in old])
        for placement in placements:
            metrics.PLACED.labels(placement.outcome).inc()
            if placement.outcome in ("waiting_max", "waiting_bytes_max"):
                metrics.LIMIT_REACHED.labels(placement.outcome).inc()

    def _store_failed(self, has_failed: bool) -> None:
        self._waits_for = THE_STORE if has_failed else ""
