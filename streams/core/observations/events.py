"""Fold single events into the state of their traces, and into the deltas of windows and spend."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from clickhouse.rows import ObservationRow
from streams.core.dimensions.keys import WINDOWS_BY_TRACE
from streams.core.observations.attribution import RecordChanges
from streams.core.observations.bounding import Bounds
from streams.core.observations.effects import Effects
from streams.core.observations.lines import NO_TEXT, ObservationLine
from streams.core.observations.merge import (
    Merged,
    first_token_us,
    merge_partial,
    merge_whole,
    merged_of_whole_row,
    write_fields,
    write_merge_state,
)
from streams.core.observations.state import (
    ObservationState,
    rank_of,
    state_of_row,
    tombstones_of,
    whole_row,
)
from streams.core.observations.tools import write_tools
from streams.core.observations.trace_cache import ObservationKey, TraceCache
from streams.core.observations.traces import Trace, TraceKey
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import IncrementalTokens, Tokens, price_row
from streams.core.rollups.contributions import DeltaBook
from tracemill.contract import TraceUpdate

Change = tuple[ObservationState, ObservationRow]
"""The new state of an observation, and its row."""


class EventFold:
    """Fold the events of one chunk; methods return whether an event changed state.

    Attributes:
        is_changing: whether an event is changing state; if it raises then, the state of its trace
            is invalid.
    """

    def __init__(
        self,
        cache: TraceCache,
        prices: PriceBook,
        tokens: Tokens,
        trace_observations_max: int,
        bounds: Bounds,
        merged: AbstractSet[ObservationKey],
        effects: Effects,
    ) -> None:
        """Begin a chunk.

        Args:
            cache: traces of the partition, including all that the chunk needs.
            prices: prices of the chunk's observations.
            tokens: estimates tokens of events without usage.
            trace_observations_max: maximum observations of a trace; events of others are rejected.
                The decision depends only on the log, so a replay rejects the same events.
            bounds: limits of texts; counts the limits that are reached, by name.
            merged: observations with a partial update in the chunk: all their events are merged.
            effects: receives rows of observations that are not merged.
        """
        self.is_changing = False
        self._cache = cache
        self._prices = prices
        self._tokens = tokens
        self._trace_observations_max = trace_observations_max
        self._bounds = bounds
        self._reached = bounds.reached
        self._merged_keys = merged
        self._effects = effects
        self._merged_rows: dict[ObservationKey, list[ObservationRow]] = {}
        """The last row of each merged observation, then deletions of older rows."""
        self._unfinished: dict[ObservationKey, Merged | None] = {}
        """Merged observations whose rows ``finish_rows`` completes; None: equal a whole event."""
        self.begin_record(0)

    def begin_record(self, version_floor: int) -> RecordChanges:
        """Begin the next record; return the changes, to which its events will add.

        Args:
            version_floor: lowest version of the rows of its events.
        """
        self._floor = version_floor
        self._changed: dict[TraceKey, Trace] = {}
        self._books: dict[str, DeltaBook] = {}
        self._rejected: list[ObservationLine] = []
        return RecordChanges(self._changed, self._books, self._rejected)

    def observation(self, line: ObservationLine) -> bool:  # noqa: C901, PLR0912  # hot path
        """Fold an observation; steps that its content can make fail come before any change.

        If it raises while ``is_changing`` is False, nothing has changed.
        """
        key = (line.project_id, line.trace_id)
        trace = self._cache.traces.get(key)
        state, is_near_limit = None, False
        if trace is not None:
            is_near_limit = trace.is_near_limit
            state = trace.observations.get(line.id)
            if state is None and len(trace.observations) >= self._trace_observations_max:
                self._reject(line, "trace_observations_max")
                return False
        if (
            line.partial
            or (state is not None and state.merged is not None)
            or (self._merged_keys and (key, line.id) in self._merged_keys)
        ):
            is_merged = True
            change = self._merged(key, state, line, is_near_limit=is_near_limit)
        else:
            is_merged = False
            change = self._replaced(state, line)
        if is_near_limit and trace is not None and change and not trace.fits(change[0]):
            self._reject(line, "trace_amounts_max")
            return False
        self.is_changing = True
        if trace is None:
            trace = self._cache.create(key)
        book = self._books.get(key[0])
        if book is None:
            book = self._books[key[0]] = DeltaBook()
        attributes = line.trace
        changed = change is not None
        if attributes is not None:
            changed |= trace.fields.merge(attributes, line.ts_us, self._bounds)
            if WINDOWS_BY_TRACE and not trace.observations:
                trace.attributed = trace.values()
        if change is not None:
            if state is None and not is_merged:  # the common case, without calling ``_put``
                self._swap(trace, book, None, change[0])
                self._effects.observations.append(change[1])
            else:
                self._put(trace, book, state, change, is_merged=is_merged)
        if changed:
            self._changed[key] = trace
        self.is_changing = False
        return changed

    def _reject(self, line: ObservationLine, limit: str) -> None:
        self._rejected.append(line)
        self._reached[limit] += 1

    def trace_update(self, line: TraceUpdate) -> bool:
        """Fold an update of the trace itself."""
        self.is_changing = True
        key = (line.project_id, line.trace_id)
        trace = self._cache.traces.get(key)
        if trace is None:
            trace = self._cache.create(key)
        changed = trace.fields.merge_trace_update(line.environment, line.ts_us)
        changed |= trace.fields.merge(line.trace, line.ts_us, self._bounds)
        if WINDOWS_BY_TRACE and not trace.observations:
            trace.attributed = trace.values()
        if changed:
            self._changed[key] = trace
        self.is_changing = False
        return changed

    def _replaced(self, old: ObservationState | None, line: ObservationLine) -> Change | None:
        """Return the change of a whole event that is not merged; None if it changes nothing."""
        if old is not None and line.ts_us < old.ts_us:
            return None
        row = whole_row(line)
        if not price_row(row, self._prices, self._tokens):
            self._reached["observation_cost_max"] += 1
        state = state_of_row(row, None)
        if old is None:
            row.row_version = state.row_version = self._floor
        else:
            if line.ts_us == old.ts_us and rank_of(state) <= rank_of(old):
                return None
            row.row_version = state.row_version = max(old.row_version + 1, self._floor)
        if not write_tools(row):
            self._reached["observation_tools_max"] += 1
        return state, row

    def _merged(
        self,
        key: TraceKey,
        old: ObservationState | None,
        line: ObservationLine,
        *,
        is_near_limit: bool,
    ) -> Change | None:
        """Merge an event into an observation with partial updates; None if it changes nothing."""
        before = None if old is None else old.merged
        if before is None and old is not None and line.ts_us < old.ts_us:
            return None
        if not line.partial:
            return self._merged_whole(key, old, line, is_near_limit=is_near_limit)
        before = self._to_change(before, line, is_near_limit=is_near_limit)
        after = merge_partial(before, line, line.ts_us, self._bounds)
        return None if after is before else self._merged_change(key, old, line, before, after)

    def _merged_whole(
        self,
        key: TraceKey,
        old: ObservationState | None,
        line: ObservationLine,
        *,
        is_near_limit: bool,
    ) -> Change | None:
        """Merge a whole event into an observation with partial updates.

        If the event replaces all of them, its row is the same as without them, so the row does not
        depend on which updates are in the chunk.
        """
        before = None if old is None else old.merged
        row = self._whole_row(line)
        alone = state_of_row(row, None)
        rank = rank_of(alone)
        if before is None:
            if old is not None and line.ts_us == old.ts_us and rank <= rank_of(old):
                return None
        elif not before.is_outranked_by(line.ts_us, rank):
            return None
        if before is None or before.is_covered_by(line.ts_us):
            alone.merged = merged_of_whole_row(row, rank, self._bounds)
            row.row_version = alone.row_version = self._next_version(old)
            return alone, row
        before = self._to_change(before, line, is_near_limit=is_near_limit)
        after = merge_whole(before, line, line.ts_us, alone.start_us, rank, self._bounds)
        return self._merged_change(key, old, line, before, after)

    def _to_change(
        self, before: Merged | None, line: ObservationLine, *, is_near_limit: bool
    ) -> Merged | None:
        """Return the state to merge an event into, whose metadata is changed in place.

        It is a copy if the event may still be rejected.
        """
        if before is not None and (before.metadata or line.metadata is not NO_TEXT):
            if is_near_limit:
                return before.copy()
            self.is_changing = True
        return before

    def _merged_change(
        self,
        key: TraceKey,
        old: ObservationState | None,
        line: ObservationLine,
        before: Merged | None,
        after: Merged,
    ) -> Change:
        row = self._merged_row(key, line.id, after, self._tokens_of_changes(old, before, after))
        row.row_version = self._next_version(old)
        state = state_of_row(row, after)
        if row.usage_estimated:
            state.estimated = {side: n for side, n in row.usage.items() if side != "total"}
        return state, row

    def _next_version(self, old: ObservationState | None) -> int:
        return self._floor if old is None else max(old.row_version + 1, self._floor)

    def _tokens_of_changes(
        self, old: ObservationState | None, before: Merged | None, after: Merged
    ) -> Tokens:
        """Return a token counter that does not count unchanged texts again."""
        if old is None or old.estimated is None or before is None:
            return self._tokens
        was, now = before.latest, after.latest
        if was.get("model") is not now.get("model"):
            return self._tokens
        same = {side for side in ("input", "output") if was.get(side) is now.get(side)}
        return IncrementalTokens(self._tokens, old.estimated, same)

    def finish_rows(self) -> Mapping[ObservationKey, list[ObservationRow]]:
        """Complete and return the rows of merged observations, once per chunk.

        Sets the fields that no total depends on.
        """
        for part, merged in self._unfinished.items():
            row = self._merged_rows[part][0]
            if merged is not None:
                write_merge_state(merged, row)
                if first_token_us(merged) and not row.completion_start_us:
                    self._effects.dropped["completion_start_us"] += 1
            self._find_tools(row)
        self._unfinished.clear()
        return self._merged_rows

    def _put(
        self,
        trace: Trace,
        book: DeltaBook,
        old: ObservationState | None,
        change: Change,
        *,
        is_merged: bool,
    ) -> None:
        """Replace the state of an observation, and add its row to the effects."""
        state, row = change
        assert (
            not is_merged
            or old is None
            or old.merged is not None
            or row.id not in trace.evicted_texts
        ), "its texts were not read back"
        self._swap(trace, book, old, state)
        deletions = [] if old is None else tombstones_of(row, old.start_us)
        if is_merged:
            rows = self._merged_rows.setdefault((trace.key, row.id), [row])
            rows[0] = row
            rows += deletions
            assert state.merged is not None
            is_whole = state.merged.is_whole
            self._unfinished[trace.key, row.id] = None if is_whole else state.merged
        else:
            self._effects.observations.append(row)
            self._effects.observations += deletions

    def _swap(
        self, trace: Trace, book: DeltaBook, old: ObservationState | None, new: ObservationState
    ) -> None:
        values, trace_id = trace.attributed, trace.key[1]
        if old is not None:
            trace.remove(old)
            book.count(old, -1, values, trace_id)
            trace.change_spend(old, -1)
        trace.add(new)
        book.count(new, 1, values, trace_id)
        trace.change_spend(new, 1)
        if new.cost_source == "unpriced":
            self._effects.unpriced += 1
        if trace.is_nested:
            self._recount(trace, book, new)

    def _recount(self, trace: Trace, book: DeltaBook, new: ObservationState) -> None:
        """Count usage once that both a summarizing observation and its descendants report."""
        values, trace_id = trace.attributed, trace.key[1]
        for state, usage, cost_pico in trace.recounts(new):
            book.count(state, -1, values, trace_id)
            trace.change_spend(state, -1)
            trace.recount(state, usage, cost_pico)
            book.count(state, 1, values, trace_id)
            trace.change_spend(state, 1)

    def _whole_row(self, line: ObservationLine) -> ObservationRow:
        """Return the row of a whole event, without its version."""
        row = whole_row(line)
        self._price_row(row, self._tokens)
        return row

    def _merged_row(
        self, key: TraceKey, observation_id: str, merged: Merged, tokens: Tokens
    ) -> ObservationRow:
        """Build the row of a merged observation without version and fields of ``finish_rows``."""
        row = ObservationRow(
            project_id=key[0],
            trace_id=key[1],
            id=observation_id,
            start_us=merged.start_us,
            row_version=0,
        )
        write_fields(merged, row)
        self._price_row(row, tokens)
        return row

    def _find_tools(self, row: ObservationRow) -> None:
        if not write_tools(row):
            self._reached["observation_tools_max"] += 1

    def _price_row(self, row: ObservationRow, tokens: Tokens) -> None:
        if not price_row(row, self._prices, tokens):
            self._reached["observation_cost_max"] += 1
