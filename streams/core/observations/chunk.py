"""Fold the source records of one chunk into rows, deltas and dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clickhouse.rows import TraceRow
from clickhouse.trace_deletion_rows import TraceDeletionRow
from streams.core.dead_letters.ids import InputIds
from streams.core.dead_letters.limit import DeadLetterGuard
from streams.core.dead_letters.texts import describe_error, owner_of_event
from streams.core.observations.attribution import RecordChanges
from streams.core.observations.bounding import Bounds
from streams.core.observations.deletions import (
    DeletedTraces,
    delete_observations,
    delete_trace_rows,
)
from streams.core.observations.effects import Effects
from streams.core.observations.encoding import EncodingLimits, records_of
from streams.core.observations.events import EventFold
from streams.core.observations.failures import PROCESSING_FAILED, EventFailedError
from streams.core.observations.isolation import Isolation, trace_key_of
from streams.core.observations.lines import Line, ObservationLine
from streams.core.observations.reading import (
    UNREADABLE,
    ReadRecord,
    dead_letter,
    failed_events,
    full_traces,
)
from streams.core.observations.scores import LatestScores
from streams.core.observations.seen import trace_hash
from streams.core.observations.trace_cache import TraceCache
from streams.core.observations.traces import DAY_US, Trace, TraceKey, deleted_row
from streams.core.observations.versions import version_floor
from streams.core.rollups.contributions import DeltaBook
from streams.core.rollups.deltas import parts_of
from tracemill.contract import Score, TraceDeletion, TraceUpdate


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What a partition of the events topic keeps between chunks, and its limits."""

    topic: str
    partition: int
    cache: TraceCache
    scores: LatestScores
    bounds: Bounds
    encoding: EncodingLimits
    dead_letter_payload_bytes_max: int
    deleted: DeletedTraces


class ChunkFold:
    """Fold records one after the other; ``finish`` adds the rows of the changed traces.

    Attributes:
        effects: the effects of the records so far.
    """

    def __init__(
        self,
        state: PartitionState,
        events: EventFold,
        effects: Effects,
        guard: DeadLetterGuard,
        isolation: Isolation,
        hashes: Mapping[TraceKey, int],
    ) -> None:
        """Begin a chunk.

        Args:
            state: of the partition.
            events: folds the events of this chunk into ``effects``.
            effects: receives the results.
            guard: counts rejected lines.
            isolation: events to set aside, and traces to check, because of earlier failures.
            hashes: hashes of the traces that were not cached before the chunk.
        """
        self.effects = effects
        self._state = state
        self._events = events
        self._guard = guard
        self._isolation = isolation
        self._hashes = hashes
        self._reached = state.bounds.reached
        self._changed: dict[TraceKey, Trace] = {}
        self._deletions: dict[TraceKey, list[TraceRow]] = {}
        self._deleted_rows: list[TraceRow] = []
        """Rows that delete the rows of deleted traces."""
        self._emptied: dict[TraceKey, Trace] = {}
        """Deleted traces that were cached, as they are now: without content."""

    def record(self, record: ReadRecord, trace_version: int) -> None:
        """Fold a record; rows of the traces that it changes get ``trace_version``.

        Raises:
            EventFailedError: an event raised while it changed state.
            TooManyDeadLettersError: most of the input is rejected.
        """
        effects, partition = self.effects, self._state.partition
        changes = self._events.begin_record(version_floor(record.append_us))
        failed = self._fold_events(record, changes, trace_version)
        effects.events += len(record.lines)
        if record.dropped:
            effects.dropped.update(record.dropped)
        for trace in changes.traces.values():
            changes.settle(trace)
            self._add_row(trace, trace_version)
        for project_id, book in changes.books.items():
            delta = book.delta(project_id, partition, record.offset)
            if delta is not None:
                effects.deltas += parts_of(delta)
        self._reject(record, failed, changes.rejected)

    def finish(self, chunk: int) -> None:
        """Add the rows of merged observations and of traces; ``chunk`` is the chunk's number."""
        effects = self.effects
        for rows in self._events.finish_rows().values():
            effects.observations += rows
        effects.traces += self._deleted_rows
        for trace in self._changed.values():
            trace.touched_by = chunk
            effects.traces.append(trace.row())
            effects.traces += self._deletions.pop(trace.key, ())
        touched = self._emptied | self._changed
        for trace in self._emptied.values():
            trace.touched_by = chunk
        self._state.cache.touch(touched.values())

    def _fold_events(  # noqa: C901, PLR0912  # hot loop: calls for its parts cost 5 %
        self, record: ReadRecord, changes: RecordChanges, trace_version: int
    ) -> dict[int, str]:
        """Fold the events of a record; return the failures of those set aside, by index."""
        events, effects, isolation, offset = (
            self._events,
            self.effects,
            self._isolation,
            record.offset,
        )
        scores, deleted = self._state.scores, self._state.deleted.by_trace
        set_aside, is_checking = isolation.set_aside, isolation.is_checking
        failed: dict[int, str] = {}
        index = 0
        try:
            for index, line in enumerate(record.lines):
                if set_aside and (offset, index) in set_aside:
                    failed[index] = set_aside[offset, index]
                    continue
                if (
                    deleted
                    and (line.project_id, line.trace_id) in deleted
                    and self._is_dropped(line, record.append_us)
                ):
                    effects.of_deleted_traces += 1
                    continue
                try:
                    if isinstance(line, ObservationLine):
                        changed = events.observation(line)
                    elif isinstance(line, TraceUpdate):
                        changed = events.trace_update(line)
                    elif isinstance(line, TraceDeletion):
                        events.is_changing = True
                        self._delete(line, record, changes, trace_version)
                        events.is_changing = False
                        changed = True
                    else:
                        row = scores.row_if_newer(line)
                        changed = row is not None
                        if row is not None:
                            effects.scores.append(row)
                except Exception as error:
                    if events.is_changing or isinstance(error, MemoryError):
                        raise
                    failed[index] = describe_error(error)
                    continue
                if not changed:
                    effects.unchanged += 1
                if is_checking:
                    self._check(line, offset, changes)
        except MemoryError:
            raise
        except Exception as error:
            raise EventFailedError((offset, index)) from error
        return failed

    def _is_dropped(self, line: Line, append_us: int) -> bool:
        """Return whether an event of a trace is dropped; the deletion of a score never is."""
        trace_id = line.trace_id
        if not trace_id or (isinstance(line, Score) and line.deleted):
            return False
        return self._state.deleted.drops((line.project_id, trace_id), append_us)

    def _delete(
        self, line: TraceDeletion, record: ReadRecord, changes: RecordChanges, version: int
    ) -> None:
        """Delete a trace; without any rows of it, only its later events are dropped."""
        key, effects, cache = (line.project_id, line.trace_id), self.effects, self._state.cache
        trace = cache.traces.get(key)
        if trace is not None:
            book = changes.books.setdefault(line.project_id, DeltaBook())
            effects.observations += delete_observations(
                trace, book, version_floor(record.append_us)
            )
            self._deleted_rows += self._deletions.pop(key, ())
            self._deleted_rows += delete_trace_rows(trace, version)
            if trace.day < 0:
                effects.new_traces.append(trace_hash(key))
            changes.traces.pop(key, None)
            self._changed.pop(key, None)
            self._emptied[key] = cache.create(key)
        self._state.deleted.add(key, version, record.append_us)
        effects.deletions.append(
            TraceDeletionRow(
                project_id=line.project_id,
                trace_id=line.trace_id,
                deleted_us=record.append_us,
                api_key=line.api_key or "",
                row_version=version,
            )
        )

    def _check(self, line: Line, offset: int, changes: RecordChanges) -> None:
        """Encode the changes of an event, so that a failure to encode is attributed to it."""
        effects, isolation, encoding = self.effects, self._isolation, self._state.encoding
        key = trace_key_of(line)
        trace = None if key is None else self._state.cache.traces.get(key)
        if key is not None and trace is not None and isolation.checks(key):
            list(records_of([trace.row()], encoding))
            # The rows of this event, if it has any, are the last ones.
            last = [
                row for row in effects.observations[-2:] if (row.project_id, row.trace_id) == key
            ]
            list(records_of(last, encoding))
            for (trace_key, _), rows in self._events.finish_rows().items():
                if trace_key == key:
                    list(records_of(rows, encoding))
        if isolation.checks_all:
            list(records_of(effects.scores[-1:], encoding))
            deltas = [
                book.delta(project_id, self._state.partition, offset)
                for project_id, book in changes.so_far()
            ]
            parts = [part for delta in deltas if delta is not None for part in parts_of(delta)]
            list(records_of(parts, encoding))

    def _reject(
        self, record: ReadRecord, failed: dict[int, str], full: list[ObservationLine]
    ) -> None:
        """Add the dead letters of a record.

        Args:
            record: as it was read.
            failed: failures of events that are set aside, by index.
            full: events whose trace has reached a limit.
        """
        effects, state = self.effects, self._state
        if not (record.rejections or failed or full or record.reached):
            lines = record.lines
            good_project = lines[0].project_id if lines else ""
            self._guard.observe(len(lines), 0, record.offset, good_project=good_project)
            return
        self._reached.update(record.reached)
        unreadable = sum(rejection.reason in UNREADABLE for rejection in record.rejections)
        good = next((line for at, line in enumerate(record.lines) if at not in failed), None)
        self._guard.observe(
            len(record.lines) - len(failed),
            unreadable,
            record.offset,
            good_project=good.project_id if good is not None else "",
            failing=[record.lines[index].project_id for index in failed]
            + [
                owner_of_event(rejection.payload)
                for rejection in record.rejections
                if rejection.reason == PROCESSING_FAILED
            ],
        )
        rejections = record.rejections
        if failed:
            rejections = [*rejections, *failed_events(record, failed)]
        if full:
            rejections = [*rejections, *full_traces(record, full)]
            effects.unchanged -= len(full)
        ids = InputIds(state.topic, record.append_us)
        for rejection in rejections:
            row = dead_letter(
                rejection,
                record,
                ids,
                state.topic,
                state.partition,
                state.dead_letter_payload_bytes_max,
            )
            self._reached["dead_letter_payload_bytes_max"] += row.detail != rejection.detail
            effects.dead_letters.append(row)

    def _add_row(self, trace: Trace, version: int) -> None:
        """Set the version of a changed trace; note whether it is new, or its day has changed."""
        trace.row_version = version
        self._changed[trace.key] = trace
        day = trace.start_us // DAY_US
        if day != trace.day:
            if trace.day >= 0:
                deleted = deleted_row(trace, trace.day * DAY_US)
                self._deletions.setdefault(trace.key, []).append(deleted)
            else:
                trace.key_hash = self._hashes.get(trace.key) or trace_hash(trace.key)
                self.effects.new_traces.append(trace.key_hash)
            trace.day = day
