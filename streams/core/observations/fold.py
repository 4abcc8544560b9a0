"""Stage 1 on one screen: events of one partition fold into rows and deltas. No I/O, no clock, no chance.

``needs`` says what must be read back before a chunk can be folded, ``adopt`` takes it in, ``fold`` does the work. What comes out of a record depends on the records before
it in the partition (and on the prices of the moment), not on how they were grouped: a chunk that is folded again after a crash gives the same rows, versions and deltas.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse.rows import TraceRow
from streams.core.dead_letters.limit import (
    DeadLetterGuard,
    DeadLetterLimit,
    TooManyDeadLettersError,
)
from streams.core.dead_letters.texts import describe_error, owner_of_event
from streams.core.dimensions.sources import trace_values
from streams.core.observations.bounding import Bounds
from streams.core.observations.effects import Effects
from streams.core.observations.encoding import EncodingLimits, records_of
from streams.core.observations.events import EventFold
from streams.core.observations.failures import (
    PROCESSING_FAILED,
    EventFailedError,
    EventPlace,
    FoldFailedError,
    TraceFailedError,
)
from streams.core.observations.isolation import Isolation, trace_key_of
from streams.core.observations.limits import DEFAULT_ROW_LIMITS, RowLimits
from streams.core.observations.lines import Line, ObservationLine
from streams.core.observations.reading import (
    PAYLOAD_BYTES_MAX,
    UNREADABLE,
    ReadRecord,
    dead_letter,
    failed_events,
    full_traces,
)
from streams.core.observations.scores import LatestScores
from streams.core.observations.seen import SeenTraces
from streams.core.observations.trace_cache import ObservationKey, TraceCache, TraceHistory
from streams.core.observations.traces import DAY_US, Trace, TraceKey, deleted_row
from streams.core.observations.versions import RecordVersion, version_floor
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import Tokens
from streams.core.rollups.deltas import parts_of
from tracemill.contract import Score, TraceUpdate

NOTHING_SET_ASIDE: Final = Isolation()
FIRST_VERSION: Final = RecordVersion(-1, 0)

TRACE_OBSERVATIONS_MAX = 20_000
"""Well below what memory holds: a larger trace would leave it, and be read back, with every chunk, and take all others along."""

DEFAULT_ENCODING: Final = EncodingLimits(
    project_partitions=1, record_bytes=512 * 1024, record_max_bytes=16 * 1024 * 1024
)


@dataclass(frozen=True, slots=True)
class FoldLimits:
    resident_observations_max: int
    resident_text_bytes_max: int
    resident_scores_max: int
    dead_letters: DeadLetterLimit
    encoding: EncodingLimits = DEFAULT_ENCODING
    trace_observations_max: int = TRACE_OBSERVATIONS_MAX
    dead_letter_payload_bytes_max: int = PAYLOAD_BYTES_MAX
    rows: RowLimits = DEFAULT_ROW_LIMITS


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be read back before a chunk: traces that memory does not hold, and the texts of observations."""

    traces: set[TraceKey]
    texts: set[ObservationKey]
    resident: frozenset[TraceKey] | set[TraceKey] = frozenset()
    """Those of ``traces`` that memory holds: of them nothing is needed but the texts."""

    def __bool__(self) -> bool:
        return bool(self.traces)


class ObservationsFold:
    """The state of one partition of the events topic."""

    def __init__(
        self,
        topic: str,
        partition: int,
        limits: FoldLimits,
        prices: PriceBook,
        tokens: Tokens,
        seen: SeenTraces,
        version: RecordVersion = FIRST_VERSION,
    ) -> None:
        bounds = Bounds(limits.rows)
        self._reached = bounds.reached
        self.cache = TraceCache(
            limits.resident_observations_max, limits.resident_text_bytes_max, seen, bounds
        )
        self._topic = topic
        self._payload_bytes_max = limits.dead_letter_payload_bytes_max
        self._partition = partition
        self._events = EventFold(self.cache, prices, tokens, limits.trace_observations_max, bounds)
        self._guard = DeadLetterGuard(limits.dead_letters, f"{topic}/{partition}")
        self._guard_before = self._guard
        self._version = self._version_before = version
        """Of the last record folded, and of the last one of the chunk before."""
        self._scores = LatestScores(limits.resident_scores_max, self._reached)
        self._encoding = limits.encoding
        self._touched: dict[TraceKey, Trace] = {}
        self._deletions: dict[TraceKey, list[TraceRow]] = {}

    def use_prices(self, prices: PriceBook) -> None:
        """Later events cost what these prices say."""
        self._events.prices = prices

    def take_reached(self) -> dict[str, int]:
        """How often each limit was reached since the last call, by the name of its setting."""
        reached, seen = dict(+self._reached), self.cache.seen
        self._reached.clear()
        if seen.refused:
            reached["seen_traces_max"], seen.refused = seen.refused, 0
        return reached

    def needs(
        self, records: Iterable[ReadRecord], isolation: Isolation = NOTHING_SET_ASIDE
    ) -> Needs:
        """What has to be adopted before these records are folded."""
        self._guard_before = self._guard.copy()
        set_aside = isolation.set_aside
        traces, seen = self.cache.traces, self.cache.seen
        missing: set[TraceKey] = set()
        asked: set[TraceKey] = set()
        parts: set[ObservationKey] = set()
        resident: set[TraceKey] = set()
        for record in records:
            for index, line in enumerate(record.lines):
                if isinstance(line, Score) or (set_aside and (record.offset, index) in set_aside):
                    continue
                key = (line.project_id, line.trace_id)
                trace = traces.get(key)
                if trace is None and key not in asked:
                    asked.add(key)
                    if key in seen:
                        missing.add(key)
                if not isinstance(line, ObservationLine):
                    continue
                if line.partial:
                    parts.add((key, line.id))
                    known = None if trace is None else trace.observations.get(line.id)
                    if known is not None and known.merged is None and line.ts_us >= known.ts_us:
                        resident.add(key)
                if trace is not None and trace.shed and line.id in trace.shed:
                    parts.add((key, line.id))
                    resident.add(key)
        self._events.parts = parts
        missing |= resident
        return Needs(missing, {part for part in parts if part[0] in missing}, resident)

    def adopt(self, histories: Iterable[TraceHistory], needs: Needs) -> None:
        """Take in what was read back.

        Raises:
            TraceFailedError: a row does not convert; traces after it are not adopted.
        """
        for history in histories:
            try:
                self.cache.load(history, needs.texts)
            except MemoryError:
                raise
            except Exception as error:
                self.cache.forget([history.key])
                raise TraceFailedError(history.key) from error

    def forget(self, records: Iterable[ReadRecord]) -> None:
        """Drop the state of everything that these records are about: an attempt to fold them
        failed.

        What the store has of it is read back before the next attempt.
        """
        keys: set[TraceKey] = set()
        for record in records:
            if record.offset <= self._version.offset:
                # Folded as a whole, but not encoded: it will be folded again.
                self._version = self._version_before
            for line in record.lines:
                key = trace_key_of(line)
                if key is not None:
                    keys.add(key)
                elif isinstance(line, Score):
                    self._scores.forget(line)
        self.cache.forget(keys)
        self._guard = self._guard_before

    def fold(
        self, records: Sequence[ReadRecord], chunk: int, isolation: Isolation = NOTHING_SET_ASIDE
    ) -> Effects:
        """The effects of the records whose ``needs`` were asked last; ``chunk`` numbers the chunks of a partition from 1.

        Raises:
            EventFailedError: an event raised while it changed state. ``forget`` the records, then
                fold them again without it.
            FoldFailedError: something else raised; likewise.
            TooManyDeadLettersError: most of the input is refused.
        """
        effects = Effects(records[-1].offset)
        self._touched.clear()
        self._deletions.clear()
        self._events.begin_chunk(effects)
        version = self._version
        try:
            for record in records:
                version = version.of_next(record.offset, record.append_us)
                self._fold_record(record, version.version, effects, isolation)
            self._write_rows(effects, chunk)
        except (FoldFailedError, MemoryError, TooManyDeadLettersError):
            raise
        except Exception as error:
            raise FoldFailedError("a chunk") from error
        self._version_before, self._version = self._version, version
        effects.trace_version = version.version
        return effects

    def _write_rows(self, effects: Effects, chunk: int) -> None:
        self._events.finish_rows()
        for rows in self._events.merged_rows.values():
            effects.observations += rows
        for trace in self._touched.values():
            trace.touched_by = chunk
            effects.traces.append(trace.row())
            effects.traces += self._deletions.pop(trace.key, ())
        self.cache.touch(self._touched.values())

    def _fold_record(
        self, record: ReadRecord, trace_version: int, effects: Effects, isolation: Isolation
    ) -> None:
        events = self._events
        events.begin_record(version_floor(record.append_us))
        failed = self._fold_events(record, effects, isolation)
        effects.events += len(record.lines)
        for trace in events.changed.values():
            self._settle(trace, trace_version)
        for project_id, book in events.books.items():
            delta = book.delta(project_id, self._partition, record.offset)
            if delta is not None:
                effects.deltas += parts_of(delta)
        self._refuse(record, failed, effects)

    def _fold_events(  # noqa: C901  # the innermost loop: a call for each part costs a twentieth of it
        self, record: ReadRecord, effects: Effects, isolation: Isolation
    ) -> dict[int, str]:
        """Fold the events of a record; returns the failures of those that are set aside, by their
        index.
        """
        events, offset = self._events, record.offset
        set_aside, is_checking = isolation.set_aside, isolation.is_checking
        failed: dict[int, str] = {}
        index = 0
        try:
            for index, line in enumerate(record.lines):  # it names the event that raises
                if set_aside and (offset, index) in set_aside:
                    failed[index] = set_aside[offset, index]
                    continue
                try:
                    if isinstance(line, ObservationLine):
                        changed = events.observation(line)
                    elif isinstance(line, TraceUpdate):
                        changed = events.trace_update(line)
                    else:
                        row = self._scores.row_if_newer(line)
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
                    self._check((offset, index), line, effects, isolation)
        except MemoryError:
            raise
        except Exception as error:
            events.is_changing = False
            raise EventFailedError((offset, index)) from error
        return failed

    def _check(self, place: EventPlace, line: Line, effects: Effects, isolation: Isolation) -> None:
        """Encode what an event has changed so far, so that what does not encode is attributed to
        it.
        """
        key = trace_key_of(line)
        if key is not None and isolation.checks(key):
            list(records_of([self.cache.traces[key].row()], self._encoding))
            # The rows of this event, if it made any, are the last ones.
            last = [
                row for row in effects.observations[-2:] if (row.project_id, row.trace_id) == key
            ]
            list(records_of(last, self._encoding))
            self._events.finish_rows()
            for (trace_key, _), rows in self._events.merged_rows.items():
                if trace_key == key:
                    list(records_of(rows, self._encoding))
        if isolation.checks_all:
            list(records_of(effects.scores[-1:], self._encoding))
            deltas = [
                book.delta(project_id, self._partition, place[0])
                for project_id, book in self._events.books.items()
            ]
            parts = [part for delta in deltas if delta is not None for part in parts_of(delta)]
            list(records_of(parts, self._encoding))

    def _refuse(self, record: ReadRecord, failed: dict[int, str], effects: Effects) -> None:
        """Dead letters of what a record holds that does not count."""
        if not (record.refusals or failed or self._events.refused or record.reached):
            lines = record.lines
            good_project = lines[0].project_id if lines else ""
            self._guard.observe(len(lines), 0, record.offset, good_project=good_project)
            return
        self._reached.update(record.reached)
        unreadable = sum(refusal.reason in UNREADABLE for refusal in record.refusals)
        good = next((line for at, line in enumerate(record.lines) if at not in failed), None)
        self._guard.observe(
            len(record.lines) - len(failed),
            unreadable,
            record.offset,
            good_project=good.project_id if good is not None else "",
            failing=[record.lines[index].project_id for index in failed]
            + [
                owner_of_event(refusal.payload)
                for refusal in record.refusals
                if refusal.reason == PROCESSING_FAILED
            ],
        )
        refusals = record.refusals
        full = self._events.refused
        if failed:
            refusals = [*refusals, *failed_events(record, failed)]
        if full:
            refusals = [*refusals, *full_traces(record, full)]
            effects.unchanged -= len(full)
        for refusal in refusals:
            letter = dead_letter(
                refusal, record, self._topic, self._partition, self._payload_bytes_max
            )
            self._reached["dead_letter_payload_bytes_max"] += letter.detail != refusal.detail
            effects.dead_letters.append(letter)

    def _settle(self, trace: Trace, version: int) -> None:
        """Give it the record's version; where it moved to another day, its row of the old day goes."""
        trace.row_version = version
        self._touched[trace.key] = trace
        values = trace_values(trace.fields)
        if trace.attributed != values:
            self._events.reattribute(trace, values)
        day = trace.start_us // DAY_US
        if day != trace.day:
            if trace.day >= 0:
                deleted = deleted_row(trace, trace.day * DAY_US)
                self._deletions.setdefault(trace.key, []).append(deleted)
            trace.day = day
