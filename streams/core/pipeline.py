"""Stage 1 on one screen: events of one partition fold into rows and deltas. No I/O, no clock, no chance.

``needs`` says what must be read back before a chunk can be folded, ``adopt`` takes it in, ``fold`` does the work. What comes out of a record depends on the records before
it in the partition (and on the prices of the moment), not on how they were grouped: a chunk that is folded again after a crash gives the same rows, versions and deltas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clickhouse.rows import TraceRow
from streams.core.dead_letters import DeadLetterGuard, DeadLetterLimit
from streams.core.effects import Effects
from streams.core.events import EventFold
from streams.core.lines import ObservationLine
from streams.core.pricing import PriceBook
from streams.core.reading import PAYLOAD_BYTES_MAX, UNREADABLE, ReadRecord, dead_letter, full_traces
from streams.core.residents import PartKey, Residents, TraceHistory
from streams.core.scores import LatestScores
from streams.core.seen import SeenTraces
from streams.core.traces import DAY_US, Trace, TraceKey, deleted_row
from streams.core.valuation import Tokens
from tracemill.contract import Score, TraceUpdate

VERSION_SHIFT = 20
"""A row version is the receiving time in milliseconds, shifted by this, or one more than the version before if that is higher."""


TRACE_OBSERVATIONS_MAX = 20_000
"""Well below what memory holds: a larger trace would leave it, and be read back, with every chunk, and take all others along."""


@dataclass(frozen=True, slots=True)
class FoldLimits:
    resident_observations_max: int
    resident_text_bytes_max: int
    resident_scores_max: int
    dead_letters: DeadLetterLimit
    trace_observations_max: int = TRACE_OBSERVATIONS_MAX
    dead_letter_payload_bytes_max: int = PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be read back before a chunk: traces that memory does not hold, and the texts of observations."""

    traces: set[TraceKey]
    texts: set[PartKey]
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
    ) -> None:
        self._reached: Counter[str] = Counter()
        self.residents = Residents(
            limits.resident_observations_max, limits.resident_text_bytes_max, seen, self._reached
        )
        self._topic = topic
        self._payload_bytes_max = limits.dead_letter_payload_bytes_max
        self._partition = partition
        self._events = EventFold(
            self.residents, prices, tokens, limits.trace_observations_max, self._reached
        )
        self._guard = DeadLetterGuard(limits.dead_letters, f"{topic}/{partition}")
        self._scores = LatestScores(limits.resident_scores_max, self._reached)
        self._touched: dict[TraceKey, Trace] = {}
        self._deletions: dict[TraceKey, list[TraceRow]] = {}

    def price_by(self, prices: PriceBook) -> None:
        """Later events cost what these prices say."""
        self._events.prices = prices

    def take_reached(self) -> dict[str, int]:
        """How often each limit was reached since the last call, by the name of its setting."""
        reached, seen = dict(+self._reached), self.residents.seen
        self._reached.clear()
        if seen.refused:
            reached["seen_traces_max"], seen.refused = seen.refused, 0
        return reached

    def needs(self, records: Iterable[ReadRecord]) -> Needs:
        """What has to be adopted before these records are folded."""
        traces, seen = self.residents.traces, self.residents.seen
        missing: set[TraceKey] = set()
        asked: set[TraceKey] = set()
        parts: set[PartKey] = set()
        resident: set[TraceKey] = set()
        for record in records:
            for line in record.lines:
                if isinstance(line, Score):
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
        """Take in what was read back."""
        for history in histories:
            self.residents.adopt(history, needs.texts)

    def fold(self, records: Sequence[ReadRecord], chunk: int) -> Effects:
        """The effects of the records whose ``needs`` were asked last; ``chunk`` numbers the chunks of a partition from 1.

        Raises:
            TooManyDeadLettersError: most of the input is unreadable.
        """
        effects = Effects(records[-1].offset)
        self._touched.clear()
        self._events.begin_chunk(effects)
        for record in records:
            self._fold_record(record, effects)
        for rows in self._events.merged_rows.values():
            effects.observations += rows
        for trace in self._touched.values():
            trace.touched_by = chunk
            effects.traces.append(trace.row())
            effects.traces += self._deletions.pop(trace.key, ())
        self.residents.touch(self._touched.values())
        return effects

    def _fold_record(self, record: ReadRecord, effects: Effects) -> None:
        events = self._events
        version_floor = record.append_us // 1000 << VERSION_SHIFT
        events.begin_record(version_floor)
        for line in record.lines:
            if isinstance(line, ObservationLine):
                news = events.observation(line)
            elif isinstance(line, TraceUpdate):
                news = events.trace_update(line)
            else:
                row = self._scores.row_of_news(line)
                news = row is not None
                if row is not None:
                    effects.scores.append(row)
            effects.unchanged += not news
        effects.events += len(record.lines)
        for trace in events.changed.values():
            self._settle(trace, version_floor)
        for project_id, book in events.books.items():
            delta = book.delta(project_id, self._partition, record.offset)
            if delta is not None:
                effects.deltas.append(delta)
        unreadable = sum(refusal.reason in UNREADABLE for refusal in record.refusals)
        self._guard.observe(len(record.lines), unreadable, record.offset)
        refusals = record.refusals
        if events.refused:
            refusals = [*refusals, *full_traces(record, events.refused)]
            self._reached["trace_observations_max"] += len(events.refused)
            effects.unchanged -= len(events.refused)
        for refusal in refusals:
            letter = dead_letter(
                refusal, record, self._topic, self._partition, self._payload_bytes_max
            )
            self._reached["dead_letter_payload_bytes_max"] += letter.detail != refusal.detail
            effects.dead_letters.append(letter)

    def _settle(self, trace: Trace, version_floor: int) -> None:
        """One version a record; and where the trace moved to another day, its row of the old day goes."""
        trace.row_version = max(trace.row_version + 1, version_floor)
        self._touched[trace.key] = trace
        day = trace.start_us // DAY_US
        if day != trace.day:
            if trace.day >= 0:
                deleted = deleted_row(trace, trace.day * DAY_US)
                self._deletions.setdefault(trace.key, []).append(deleted)
            trace.day = day
