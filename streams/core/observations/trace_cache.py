"""The traces in memory, least recently changed first; what leaves is remembered as seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.dimensions.sources import trace_values
from streams.core.observations.bounding import Bounds
from streams.core.observations.merge import merged_of, merged_of_whole
from streams.core.observations.seen import SeenTraces
from streams.core.observations.state import ObservationState, known_of, rank_of
from streams.core.observations.statements import statements_of
from streams.core.observations.traces import DAY_US, Trace, TraceKey

TRACE_SHARE: Final = 4
"""The texts of one trace's observations may take this part of the room for all texts; those changed longest ago go first, their numbers stay."""

PartKey = tuple[TraceKey, str]
"""An observation: its trace's key and its id."""


class TraceHistory(msgspec.Struct):
    """What was written of a trace: its latest row, and the latest row of each of its observations."""

    key: TraceKey
    row: TraceRow | None
    observations: list[ObservationRow]


class TraceCache:
    """Traces of one partition, bounded by their observations and by the texts kept of them."""

    def __init__(
        self, observations_max: int, text_bytes_max: int, seen: SeenTraces, bounds: Bounds
    ) -> None:
        self.traces: dict[TraceKey, Trace] = {}
        self.seen = seen
        self.observations = 0
        self.text_bytes = 0
        self.evicted = 0
        self.evicted_chunk = 0
        """The latest chunk that changed a trace which has left."""
        self._observations_max = observations_max
        self._text_bytes_max = text_bytes_max
        self._trace_text_bytes_max = text_bytes_max // TRACE_SHARE
        self._bounds = bounds
        self._reached = bounds.reached
        self._sizes: dict[TraceKey, tuple[int, int]] = {}

    def begin(self, key: TraceKey) -> Trace:
        trace = self.traces[key] = Trace(key)
        return trace

    def touch(self, traces: Iterable[Trace]) -> None:
        """These changed last; then let go of what is too much."""
        for trace in traces:
            if trace.text_bytes > self._trace_text_bytes_max:
                # Before it pushes out all others. To half of it, so that not every change does.
                trace.shed_texts(self._trace_text_bytes_max // 2)
                self._reached["resident_text_bytes_max"] += 1
            self._measure(trace)
            self.traces[trace.key] = self.traces.pop(trace.key)
        self.evict()

    def adopt(self, history: TraceHistory, texts_of: frozenset[PartKey] | set[PartKey]) -> None:
        """Take in a trace as it was written; of one that is here already, only the texts of ``texts_of``."""
        trace = self.traces.get(history.key)
        if trace is not None:
            for row in history.observations:
                known = trace.observations.get(row.id)
                if known is not None and known.merged is None and (trace.key, row.id) in texts_of:
                    self._adopt_texts(trace, known, row)
            self._measure(trace)
            return
        trace = self.begin(history.key)
        for row in history.observations:
            known = known_of(row, merged_of(row) if row.merge_state else None)
            if known.merged is None and (trace.key, row.id) in texts_of:
                known.merged = merged_of_whole(row, rank_of(known), self._bounds)
            trace.count_in(known)
        if history.row is not None:
            trace.said = statements_of(history.row)
            trace.attributed = trace_values(trace.said)
            trace.row_version = history.row.row_version
            trace.day = history.row.start_us // DAY_US
        self._measure(trace)

    def _adopt_texts(self, trace: Trace, known: ObservationState, row: ObservationRow) -> None:
        if row.row_version > known.row_version:
            # A worker that ended before its commit wrote it: the events that are in its texts will
            # change nothing when they are folded again, so its numbers count from now on as well.
            trace.count_out(known)
            known = known_of(row, None)
            trace.count_in(known)
        if row.merge_state:
            trace.regain(known, merged_of(row))
        else:
            trace.regain(known, merged_of_whole(row, rank_of(known), self._bounds))

    def last_chunk_of(self, keys: Iterable[TraceKey]) -> int:
        """The latest chunk that changed any of these, whether they are here or have left."""
        latest = self.evicted_chunk
        for key in keys:
            trace = self.traces.get(key)
            if trace is not None:
                latest = max(latest, trace.touched_by)
        return latest

    def evict(self) -> None:
        while self.traces and (
            self.observations > self._observations_max or self.text_bytes > self._text_bytes_max
        ):
            too_many = self.observations > self._observations_max
            self._reached[
                "resident_observations_max" if too_many else "resident_text_bytes_max"
            ] += 1
            self._let_go(self.traces.pop(next(iter(self.traces))))
            self.evicted += 1

    def forget(self, keys: Iterable[TraceKey]) -> None:
        """Evict these traces; they are read back from the store when they are needed."""
        for key in keys:
            trace = self.traces.pop(key, None)
            if trace is not None:
                self._let_go(trace)

    def _let_go(self, trace: Trace) -> None:
        observations, text_bytes = self._sizes.pop(trace.key, (0, 0))
        self.observations -= observations
        self.text_bytes -= text_bytes
        self.seen.add(trace.key)
        self.evicted_chunk = max(self.evicted_chunk, trace.touched_by)

    def _measure(self, trace: Trace) -> None:
        text_bytes = trace.text_bytes + (trace.said.text_bytes if trace.said.latest else 0)
        # A trace of nothing but statements takes about as much as an observation.
        observations = len(trace.observations) + 1
        before = self._sizes.get(trace.key, (0, 0))
        self._sizes[trace.key] = (observations, text_bytes)
        self.observations += observations - before[0]
        self.text_bytes += text_bytes - before[1]
