"""Cache the traces of one partition, limited by observations and by bytes of texts.

The least recently changed trace is evicted first and remembered as seen, so that it is read back
from the store before its next event is folded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.observations.bounding import Bounds
from streams.core.observations.merge import merged_of_whole_row, restore_merged
from streams.core.observations.nesting import Recount
from streams.core.observations.seen import SeenTraces, trace_hash
from streams.core.observations.state import ObservationState, rank_of, state_of_row
from streams.core.observations.trace_fields import trace_fields_of
from streams.core.observations.traces import DAY_US, Trace, TraceKey

TRACE_SHARE: Final = 4
"""A trace that uses more than 1/``TRACE_SHARE`` of the text cache loses its oldest texts."""

ObservationKey = tuple[TraceKey, str]
"""Key of the trace, and id of the observation."""


class TraceHistory(msgspec.Struct):
    """The latest rows of a trace and of its observations in the store."""

    key: TraceKey
    row: TraceRow | None
    observations: list[ObservationRow]


class TraceCache:
    """Traces of one partition, bounded by their observations and texts."""

    def __init__(
        self, observations_max: int, text_bytes_max: int, seen: SeenTraces, bounds: Bounds
    ) -> None:
        # A dict would search through the slots of all removed items for its first item.
        self.traces: OrderedDict[TraceKey, Trace] = OrderedDict()
        self.seen = seen
        self.observations = 0
        self.text_bytes = 0
        self.evicted = 0
        self.evicted_chunk = 0
        """The latest chunk that changed any of the evicted traces."""
        self._observations_max = observations_max
        self._text_bytes_max = text_bytes_max
        self._trace_text_bytes_max = text_bytes_max // TRACE_SHARE
        self._bounds = bounds
        self._reached = bounds.reached
        self._sizes: dict[TraceKey, tuple[int, int]] = {}

    def create(self, key: TraceKey) -> Trace:
        trace = self.traces[key] = Trace(key)
        return trace

    def touch(self, traces: Iterable[Trace]) -> None:
        """Mark traces as most recently changed, then evict what exceeds the limits."""
        for trace in traces:
            if trace.text_bytes > self._trace_text_bytes_max:
                # Otherwise the trace would evict all others. Reduce its texts to half of the
                # limit, so that not every change evicts some.
                trace.evict_texts(self._trace_text_bytes_max // 2)
                self._reached["resident_text_bytes_max"] += 1
            self._measure(trace)
            self.traces.move_to_end(trace.key)
        self.evict()

    def load(
        self, history: TraceHistory, texts_of: frozenset[ObservationKey] | set[ObservationKey]
    ) -> None:
        """Add a trace that was read back; if it is cached, add only the texts of ``texts_of``."""
        trace = self.traces.get(history.key)
        if trace is not None:
            for row in history.observations:
                state = trace.observations.get(row.id)
                if state is not None and state.merged is None and (trace.key, row.id) in texts_of:
                    self._load_texts(trace, state, row)
            self._measure(trace)
            return
        trace = self.create(history.key)
        for row in history.observations:
            state = state_of_row(row, restore_merged(row) if row.merge_state else None)
            if state.merged is None and (trace.key, row.id) in texts_of:
                state.merged = merged_of_whole_row(row, rank_of(state), self._bounds)
            trace.add(state)
        if trace.is_nested:
            _recount(trace, trace.all_recounts())
        if history.row is not None:
            trace.fields = trace_fields_of(history.row)
            trace.row_version = history.row.row_version
            trace.day = history.row.start_us // DAY_US
        trace.attributed = trace.values()
        trace.has_spend = bool(trace.observations)
        self._measure(trace)

    def _load_texts(self, trace: Trace, state: ObservationState, row: ObservationRow) -> None:
        if row.row_version > state.row_version:
            # The row was written by a worker that ended before its commit. Its texts include events
            # that will be folded again without effect, so take its numbers from the row, too.
            trace.remove(state)
            trace.recompute_spend()
            state = state_of_row(row, None)
            trace.add(state)
            if trace.is_nested:
                _recount(trace, trace.recounts(state))
        if row.merge_state:
            trace.restore_texts(state, restore_merged(row))
        else:
            trace.restore_texts(state, merged_of_whole_row(row, rank_of(state), self._bounds))

    def take_evicted(self) -> int:
        """Return how many traces were evicted since the last call."""
        evicted, self.evicted = self.evicted, 0
        return evicted

    def last_chunk_of(self, keys: Iterable[TraceKey]) -> int:
        """Return the latest chunk that may have changed any of these traces, cached or evicted."""
        latest = self.evicted_chunk
        for key in keys:
            trace = self.traces.get(key)
            if trace is not None:
                latest = max(latest, trace.touched_by)
        return latest

    def evict(self) -> None:
        """Evict the least recently changed traces until the limits hold."""
        while self.traces and (
            self.observations > self._observations_max or self.text_bytes > self._text_bytes_max
        ):
            too_many = self.observations > self._observations_max
            self._reached[
                "resident_observations_max" if too_many else "resident_text_bytes_max"
            ] += 1
            self._remove(self.traces.popitem(last=False)[1])
            self.evicted += 1

    def forget(self, keys: Iterable[TraceKey]) -> None:
        """Evict these traces; they are read back from the store when they are needed."""
        for key in keys:
            trace = self.traces.pop(key, None)
            if trace is not None:
                self._remove(trace)

    def _remove(self, trace: Trace) -> None:
        observations, text_bytes = self._sizes.pop(trace.key, (0, 0))
        self.observations -= observations
        self.text_bytes -= text_bytes
        self.seen.add_hash(trace.key_hash or trace_hash(trace.key))
        self.evicted_chunk = max(self.evicted_chunk, trace.touched_by)

    def _measure(self, trace: Trace) -> None:
        text_bytes = trace.text_bytes + (trace.fields.text_bytes if trace.fields.latest else 0)
        # The attributes of a trace take about as much memory as an observation.
        observations = len(trace.observations) + 1
        before = self._sizes.get(trace.key, (0, 0))
        self._sizes[trace.key] = (observations, text_bytes)
        self.observations += observations - before[0]
        self.text_bytes += text_bytes - before[1]


def _recount(trace: Trace, recounts: Iterable[Recount]) -> None:
    for state, usage, cost_pico in recounts:
        trace.recount(state, usage, cost_pico)
